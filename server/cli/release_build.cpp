// release build.
#include <fmt/format.h>

#include "common/package/policy.h"
#include "common/rng/rng.h"
#include "server/cli/commands.h"
#include "server/cli/content_keys.h"
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
  bool encrypt = false;
  std::string key_file;
  std::vector<std::string> delta_from;

  fs::path keys() const { return key_file.empty() ? default_key_file(out) : fs::path(key_file); }
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

Status check_encryption(const BuildOptions& options) {
  if (!options.encrypt && (!options.key_file.empty() || !options.delta_from.empty()))
    return Error(Code::invalid_argument,
                 "--content-keys and --delta-from belong to --encrypt; for other releases the "
                 "server makes the deltas");
  std::error_code error;
  if (!options.encrypt || !fs::exists(options.keys(), error)) return {};
  return Error(Code::already_exists,
               fmt::format("{} exists already; keys are never overwritten, name another file with "
                           "--content-keys",
                           options.keys().string()));
}

// What one build shares: the releases from which deltas start, and the keys that it made.
struct Secrets {
  std::vector<DeltaBase> bases;
  package::ReleaseKeys keys;
};

Result<Secrets> prepare_secrets(const BuildOptions& options) {
  Secrets secrets;
  secrets.keys.model = options.model;
  secrets.keys.version = options.version;
  for (const std::string& folder : options.delta_from) {
    TRY_ASSIGN(DeltaBase base, open_delta_base(folder).within("--delta-from"));
    secrets.bases.push_back(std::move(base));
  }
  return secrets;
}

Result<package::Variant> add_encrypted(package::Layout& layout, const package::VariantSpec& variant,
                                       const BuildOptions& options, Secrets& secrets, Context& context) {
  crypto::ContentKey key = crypto::ContentKey::generate(context.rng);
  const package::Encryption encryption{key, [&](package::Layout& into, package::Manifest& manifest) {
                                         return add_deltas(into, manifest, variant, key, secrets.bases);
                                       }};
  TRY_ASSIGN(package::Variant added, layout.add_variant(variant, options.model, options.version, &encryption));
  secrets.keys.keys.push_back({variant.kind, added.descriptor.digest, std::move(key)});
  return added;
}

Result<package::StoredIndex> write_layout(const BuildOptions& options, std::vector<package::VariantSpec>& variants,
                                          const fs::path& folder, Secrets& secrets, Context& context) {
  TRY_ASSIGN(package::Layout layout, package::Layout::create(folder));
  package::Index index{.model = options.model, .version = options.version, .variants = {}, .annotations = {}};
  std::uint64_t total = 0;
  for (const auto& variant : variants) total += folder_bytes(variant.folder);
  Progress progress(context, "building", total);
  for (package::VariantSpec& variant : variants) {
    progress.item(variant.kind);
    TRY(fill_runtime(variant));
    TRY_ASSIGN(package::Variant added, (options.encrypt ? add_encrypted(layout, variant, options, secrets, context)
                                                        : layout.add_variant(variant, options.model, options.version))
                                           .within(variant.kind));
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
                        {"encrypted", manifest.confidential()},
                        {"deltas", manifest.deltas.size()},
                        {"bytes", manifest.total_bytes()}});
  }
  return Json{{"model", stored.index.model},
              {"version", stored.index.version},
              {"index", stored.digest.text()},
              {"variants", variants}};
}

std::string keys_text(const Json& built) {
  const std::string file = text_of(built, "content_keys");
  if (file.empty()) return "";
  std::int64_t deltas = 0;
  for (const Json& variant : items_of(built, "variants")) deltas += number_of(variant, "deltas");
  return fmt::format("\nencrypted{}; whoever has {} can read it, and push hands it over\n",
                     deltas == 0 ? std::string() : ", with " + counted(deltas, "delta"), file);
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
  return fmt::format("{} {}  {}\n\n{}{}\nnext: drover release sign {} --key KEY\n", text_of(built, "model"),
                     text_of(built, "version"), text_of(built, "index"),
                     table.render(context.out_style(), context.out_width()), keys_text(built), out);
}

Result<int> build(const BuildOptions& options, Context& context) {
  TRY(check_release_name(options.model, options.version));
  TRY_ASSIGN(auto variants, read_variants(options.variants));
  const fs::path out = options.out;
  TRY(check_empty(out));
  TRY(check_encryption(options));
  TRY_ASSIGN(Secrets secrets, prepare_secrets(options));
  // Beside, then renamed: an interrupted build leaves nothing that looks like a release.
  const fs::path named = out.has_filename() ? out : out.parent_path();
  const fs::path beside = named.string() + ".building";
  const WorkFolder work(named.string() + ".moving");
  TRY_ASSIGN(const std::vector<MovedModel> moved, move_to_base(options.base, work.path(), variants, context));
  std::error_code error;
  fs::remove_all(beside, error);
  const auto stored = write_layout(options, variants, beside, secrets, context);
  if (!stored) {
    fs::remove_all(beside, error);
    return stored.error();
  }
  // The keys first: a release without them would be lost.
  if (options.encrypt) TRY(save_content_keys(options.keys(), secrets.keys));
  fs::remove(out, error);
  fs::rename(beside, out, error);
  if (error) return Error(Code::io, out.string() + ": " + error.message());
  TRY_ASSIGN(const package::Layout layout, package::Layout::open(out));
  TRY_ASSIGN(Json built, describe(layout, *stored));
  for (const MovedModel& one : moved) built["moved"].push_back(one.report);
  if (options.encrypt) built["content_keys"] = options.keys().string();
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
      "which hold that one need few bytes: --snap for float weights, --keep-scales for int8 (with --float-model, "
      "quantised anew from the weights that it was made from). The model changes a little; it is measured on the "
      "golden set and on --held-out, in ONNX Runtime, and gets golden outputs of its own.\n"
      "With --encrypt every file but drover.json is encrypted, each variant under a key of its own; the keys are "
      "written "
      "to a file beside DIR. No server can make deltas of such files: --delta-from makes them here.";
  c.examples = {
      "drover release build mnist 1.2.0 --variant kiosk-x64=build/fp32,precision=fp32 --variant "
      "gate-arm64=build/int8,precision=int8 --out mnist-1.2.0",
      "drover release build mnist 1.3.0 --variant kiosk-x64=build/fp32 --base mnist-1.2.0 --snap auto --held-out "
      "data/held-out.json --plot trade.svg --out mnist-1.3.0",
      "drover release build mnist 1.3.0 --variant gate-arm64=build/int8 --base mnist-1.2.0 --keep-scales --float-model "
      "build/fp32/model.onnx --held-out data/held-out.json --out mnist-1.3.0",
      "drover release build mnist 1.3.0 --variant kiosk-x64=build/fp32 --encrypt --delta-from mnist-1.2.0 --out "
      "mnist-1.3.0"};
  c.argument("MODEL", &o->model, "the model's name");
  c.argument("VERSION", &o->version, "the release's version");
  c.option("--variant", "KIND=DIR", &o->variants, "the files for a kind of device, with settings behind commas")
      .require();
  c.option("--out", "DIR", &o->out, "the new release folder").require().folder();
  c.option("--release-counter", "N", &o->release_counter,
           "raise it when older releases must never run again; otherwise it stays as it is")
      .between(1, std::int64_t{1} << 53);
  declare_base_options(c, o->base);
  c.flag("--encrypt", o->encrypt, "encrypt the files, and write the keys to a file");
  c.option("--content-keys", "FILE", &o->key_file, "with --encrypt: the new key file; DIR.keys when absent").file();
  c.option("--delta-from", "DIR", &o->delta_from,
           "with --encrypt: an earlier release folder (its keys in DIR.keys) from which to make deltas")
      .folder();
  c.action = [o, &context] { return build(*o, context); };
}

}  // namespace drover::cli
