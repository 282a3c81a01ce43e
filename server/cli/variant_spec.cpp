#include "server/cli/variant_spec.h"

#include <fmt/format.h>

#include <set>

#include "server/cli/human.h"

namespace drover::cli {
namespace {

constexpr std::size_t kMaxValue = 64;

bool is_word(std::string_view text) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !text.empty() && text.size() <= kMaxValue && text.find_first_not_of(kAllowed) == std::string_view::npos;
}

std::string guessed_architecture(std::string_view kind) {
  const std::string known = oci_architecture(kind.substr(kind.rfind('-') + 1));
  return known == "arm64" || known == "arm" || known == "riscv64" ? known : "amd64";
}

Status read_setting(std::string_view part, package::VariantSpec& spec, std::set<std::string, std::less<>>& seen) {
  const std::size_t equals = part.find('=');
  const std::string_view name = part.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1);
  if (!seen.emplace(name).second) return Error(Code::invalid_argument, fmt::format("{} stands twice", printable(name)));
  std::string* to = name == "precision"     ? &spec.precision
                    : name == "arch"        ? &spec.architecture
                    : name == "runtime"     ? &spec.runtime
                    : name == "accelerator" ? &spec.accelerator
                                            : nullptr;
  if (to == nullptr)
    return Error(Code::invalid_argument,
                 fmt::format("\"{}\" is no setting of a variant; there are precision, arch, runtime and accelerator",
                             printable(name)));
  if (!is_word(value)) return Error(Code::invalid_argument, fmt::format("{} needs a word like {}=arm64", name, name));
  *to = value;
  return {};
}

}  // namespace

std::string oci_architecture(std::string_view name) {
  if (name == "x64" || name == "x86_64" || name == "x86-64") return "amd64";
  if (name == "aarch64" || name == "armv8") return "arm64";
  if (name == "armv7" || name == "armhf") return "arm";
  return std::string(name);
}

Result<package::VariantSpec> parse_variant(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos)
    return Error(Code::invalid_argument,
                 fmt::format("\"{}\": a variant is written KIND=DIR, like kiosk-x64=build/x64", printable(text)));
  package::VariantSpec spec;
  spec.kind = text.substr(0, equals);
  if (!package::is_kind(spec.kind))
    return Error(Code::invalid_argument,
                 fmt::format("\"{}\" is no kind of device: lower-case letters, digits, '.', '_' and '-', at most 64",
                             printable(spec.kind)));
  std::string_view rest = text.substr(equals + 1);
  std::set<std::string, std::less<>> seen;
  for (bool first = true;; first = false) {
    const std::size_t comma = rest.find(',');
    if (first)
      spec.folder = rest.substr(0, comma);
    else
      TRY(read_setting(rest.substr(0, comma), spec, seen).within(spec.kind));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (spec.folder.empty()) return Error(Code::invalid_argument, fmt::format("{}: the folder is missing", spec.kind));
  spec.architecture = spec.architecture.empty() ? guessed_architecture(spec.kind) : oci_architecture(spec.architecture);
  return spec;
}

}  // namespace drover::cli
