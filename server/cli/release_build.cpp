// release build.
#include <fmt/format.h>

#include "common/package/policy.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/progress.h"
#include "server/cli/release_base.h"
#include "server/cli/release_commands.h"
#include "server/cli/table.h"
#include "server/cli/variant_spec.h"

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

struct BuildOptions {
  std::string model, version, out;
  std::vector<std::string> variants;
  std::int64_t release_counter = 0;
  BaseOptions base;
};

// Working copies of models, gone with their owner.
class WorkFolder {
 public:
  explicit WorkFolder(fs::path path) : path_(std::move(path)) { remove(); }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  ~WorkFolder() { remove(); }
  const fs::path& path() const { return path_; }

 private:
  void remove() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  fs::path path_;
};

Result<std::vector<package::VariantSpec>> read_variants(const std::vector<std::string>& texts) {
  std::vector<package::VariantSpec> variants;
  for (const std::string& text : texts) {
    TRY_ASSIGN(package::VariantSpec variant, parse_variant(text).within("--variant"));
    for (const auto& other : variants)
      if (other.kind == variant.kind)
        return Error(
            Code::invalid_argument,
            fmt::format("--variant: {} stands twice; a release has one variant for each kind of device", variant.kind));
    std::error_code error;
    if (!fs::is_directory(variant.folder, error))
      return Error(Code::not_found,
                   fmt::format("--variant {}: there is no folder {}", variant.kind, variant.folder.string()));
    variants.push_back(std::move(variant));
  }
  return variants;
}

// The runtime stands in the package's policy; it need not be typed again.
Status fill_runtime(package::VariantSpec& variant) {
  const fs::path file = variant.folder / package::kPolicyFile;
  auto text = read_file(file, package::kMaxPolicyBytes);
  if (!text && text.error().code() == Code::not_found)
    return Error(Code::not_found, fmt::format("{}: every package needs a {}, which says how devices check the model",
                                              variant.folder.string(), package::kPolicyFile));
  if (!text) return std::move(text).error();
  auto policy = package::parse_policy(as_bytes(*text));
  if (!policy) return std::move(policy).error().within(file.string());
  if (variant.runtime.empty()) variant.runtime = policy->runtime;
  return {};
}

std::uint64_t folder_bytes(const fs::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (at->is_regular_file(error) && !at->is_symlink(error)) bytes += at->file_size(error);
  return bytes;
}

Status check_empty(const fs::path& out) {
  std::error_code error;
  if (!fs::exists(out, error)) return {};
  if (fs::is_directory(out, error) && fs::is_empty(out, error)) return {};
  return Error(Code::already_exists, fmt::format("{} exists already; give a new folder with --out", out.string()));
}

Result<package::StoredIndex> write_layout(const BuildOptions& options, std::vector<package::VariantSpec>& variants,
                                          const fs::path& folder, Context& context) {
  TRY_ASSIGN(package::Layout layout, package::Layout::create(folder));
  package::Index index{.model = options.model, .version = options.version, .variants = {}, .annotations = {}};
  std::uint64_t total = 0;
  for (const auto& variant : variants) total += folder_bytes(variant.folder);
  Progress progress(context, "building", total);
  for (package::VariantSpec& variant : variants) {
    progress.item(variant.kind);
    TRY(fill_runtime(variant));
    TRY_ASSIGN(package::Variant added,
               layout.add_variant(variant, options.model, options.version).within(variant.kind));
    progress.moved(folder_bytes(variant.folder));
    index.variants.push_back(std::move(added));
  }
  if (options.release_counter > 0) TRY(save_release_counter(folder, options.release_counter));
  return layout.write_index(index);
}

Result<Json> describe(const package::Layout& layout, const package::StoredIndex& stored) {
  Json variants = Json::array();
  for (const package::Variant& variant : stored.index.variants) {
    TRY_ASSIGN(const package::Manifest manifest, layout.read_manifest(variant.descriptor));
    variants.push_back({{"kind", variant.kind},
                        {"architecture", variant.architecture},
                        {"precision", variant.precision},
                        {"runtime", variant.runtime},
                        {"manifest", variant.descriptor.digest.text()},
                        {"files", manifest.files.size()},
                        {"bytes", manifest.total_bytes()}});
  }
  return Json{{"model", stored.index.model},
              {"version", stored.index.version},
              {"index", stored.digest.text()},
              {"variants", variants}};
}

std::string build_text(const Json& built, const std::string& out, const Context& context) {
  Table table({{"KIND"},
               {"ARCHITECTURE"},
               {"PRECISION"},
               {"RUNTIME"},
               {"FILES", Align::right},
               {"SIZE", Align::right},
               {"PACKAGE", Align::left, true}});
  for (const Json& variant : items_of(built, "variants"))
    table.add({text_of(variant, "kind"), text_of(variant, "architecture"), text_of(variant, "precision"),
               text_of(variant, "runtime"), std::to_string(number_of(variant, "files")),
               human_bytes(static_cast<std::uint64_t>(number_of(variant, "bytes"))), text_of(variant, "manifest")});
  return fmt::format("{} {}  {}\n\n{}\nnext: drover release sign {} --key KEY\n", text_of(built, "model"),
                     text_of(built, "version"), text_of(built, "index"),
                     table.render(context.out_style(), context.out_width()), out);
}

Result<int> build(const BuildOptions& options, Context& context) {
  TRY(check_release_name(options.model, options.version));
  TRY_ASSIGN(auto variants, read_variants(options.variants));
  const fs::path out = options.out;
  TRY(check_empty(out));
  // Beside, then renamed: an interrupted build leaves nothing that looks like a release.
  const fs::path named = out.has_filename() ? out : out.parent_path();
  const fs::path beside = named.string() + ".building";
  const WorkFolder work(named.string() + ".moving");
  TRY_ASSIGN(const std::vector<MovedModel> moved, move_to_base(options.base, work.path(), variants, context));
  std::error_code error;
  fs::remove_all(beside, error);
  const auto stored = write_layout(options, variants, beside, context);
  if (!stored) {
    fs::remove_all(beside, error);
    return stored.error();
  }
  fs::remove(out, error);
  fs::rename(beside, out, error);
  if (error) return Error(Code::io, out.string() + ": " + error.message());
  TRY_ASSIGN(const package::Layout layout, package::Layout::open(out));
  TRY_ASSIGN(Json built, describe(layout, *stored));
  for (const MovedModel& one : moved) built["moved"].push_back(one.report);
  context.show(built, [&] { return moved_text(moved, context) + build_text(built, options.out, context); });
  return kOk;
}

}  // namespace

void declare_release_build(CommandSpec& release, Context& context) {
  auto o = std::make_shared<BuildOptions>();
  CommandSpec& c = release.sub("build", "Make a release from folders of model files, one for each kind of device");
  c.details =
      "Each folder holds the model, its golden set and drover.json (how devices check it). The result is an OCI "
      "layout; nothing is sent.\n"
      "Settings of a variant: precision=int8, arch=arm64, runtime=onnx, accelerator=npu.\n"
      "With --base the models are brought near to those of an earlier release before they are packed, so that devices "
      "which hold that one need few bytes: --snap for float weights, --keep-scales for int8. The model changes a "
      "little; it "
      "is measured on the golden set and on --held-out, in ONNX Runtime, and gets golden outputs of its own.";
  c.examples = {
      "drover release build mnist 1.2.0 --variant kiosk-x64=build/fp32,precision=fp32 --variant "
      "gate-arm64=build/int8,precision=int8 --out mnist-1.2.0",
      "drover release build mnist 1.3.0 --variant kiosk-x64=build/fp32 --base mnist-1.2.0 --snap auto --held-out "
      "data/held-out.json --plot trade.svg --out mnist-1.3.0"};
  c.argument("MODEL", &o->model, "the model's name");
  c.argument("VERSION", &o->version, "the release's version");
  c.option("--variant", "KIND=DIR", &o->variants, "the files for a kind of device, with settings behind commas")
      .require();
  c.option("--out", "DIR", &o->out, "the new release folder").require().folder();
  c.option("--release-counter", "N", &o->release_counter,
           "raise it when older releases must never run again; otherwise it stays as it is")
      .between(1, std::int64_t{1} << 53);
  declare_base_options(c, o->base);
  c.action = [o, &context] { return build(*o, context); };
}

}  // namespace drover::cli
