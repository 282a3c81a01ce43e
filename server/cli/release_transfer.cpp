// release export, import: releases as OCI layouts in a folder or a tar file, for air gaps and other tools.
#include <fmt/format.h>

#include "server/cli/commands.h"
#include "server/cli/content_keys.h"
#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/progress.h"
#include "server/cli/release_commands.h"
#include "server/cli/tar_file.h"

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

struct ExportOptions {
  std::string model, version, out;
};

struct ImportOptions {
  std::string source, out, key_file;
};

bool is_tar_name(const fs::path& path) { return path.extension() == ".tar"; }

// A folder beside `target` that goes away with the object.
class Scratch {
 public:
  explicit Scratch(const fs::path& target)
      : folder_((target.has_filename() ? target : target.parent_path()).string() + ".unfinished") {
    clear();
  }
  ~Scratch() { clear(); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const fs::path& folder() const { return folder_; }

 private:
  void clear() const {
    std::error_code error;
    fs::remove_all(folder_, error);
  }
  fs::path folder_;
};

struct Published {
  tuf::Target target;
  tuf::Document role;
};

// What release managers signed, not what the server says.
Result<Published> published_release(const ExportOptions& options, Api& api, Context& context) {
  TRY_ASSIGN(Trust trust, Trust::refresh(api, context));
  TRY_ASSIGN(SigningRole role, trust.signing_role(api, options.model));
  TRY_ASSIGN(const tuf::Targets listed, parse_role(role.current));
  const auto at = listed.targets.find(options.model + "/" + options.version);
  if (at == listed.targets.end())
    return Error(Code::not_found, fmt::format("{} {} is not published (any more)", options.model, options.version));
  return Published{at->second, std::move(*role.current)};
}

class Fetcher {
 public:
  Fetcher(Api& api, const package::Layout& layout, Progress& progress)
      : api_(api), layout_(layout), progress_(progress) {}

  Status blob(const crypto::Digest& digest, std::uint64_t size) {
    if (layout_.has_blob(digest)) return {};
    TRY(make_folder(layout_.blob_path(digest).parent_path()));
    return api_.download(digest, size, layout_.blob_path(digest),
                         [this](std::uint64_t bytes) { progress_.moved(bytes); });
  }

  Status package(const package::Variant& variant) {
    progress_.item(variant.kind);
    TRY(blob(variant.descriptor.digest, variant.descriptor.size));
    TRY_ASSIGN(const package::Manifest manifest, layout_.read_manifest(variant.descriptor));
    TRY(blob(manifest.config.digest, manifest.config.size));
    for (const package::File& file : manifest.files) TRY(blob(file.digest, file.size));
    for (const package::DeltaFile& delta : manifest.deltas) TRY(blob(delta.digest, delta.size));
    return {};
  }

 private:
  Api& api_;
  const package::Layout& layout_;
  Progress& progress_;
};

// The layout's own index, which names the release's: its bytes are the signed ones and are not written anew.
std::string layout_index(const ExportOptions& options, const crypto::Digest& digest, std::uint64_t size) {
  const Json annotations = {{package::kRefName, options.version}, {package::kModel, options.model}};
  const Json entry = {
      {"mediaType", package::kIndexType}, {"digest", digest.text()}, {"size", size}, {"annotations", annotations}};
  const Json top = {{"schemaVersion", 2}, {"mediaType", package::kIndexType}, {"manifests", Json::array({entry})}};
  return top.dump();
}

// The manifests are small; their sizes give the total for the bar.
Result<std::uint64_t> expected_bytes(const ExportOptions& options, Api& api) {
  TRY_ASSIGN(const Json release,
             api.get(fmt::format("/models/{}/releases/{}", part(options.model), part(options.version))));
  std::uint64_t bytes = 0;
  for (const Json& variant : items_of(release, "variants"))
    bytes += static_cast<std::uint64_t>(number_of(variant, "bytes"));
  return bytes;
}

Status fetch_release(const ExportOptions& options, Api& api, const fs::path& folder, Context& context) {
  TRY_ASSIGN(const Published published, published_release(options, api, context));
  TRY_ASSIGN(const crypto::Digest digest, published.target.digest());
  TRY_ASSIGN(const std::uint64_t total, expected_bytes(options, api));
  TRY_ASSIGN(package::Layout layout, package::Layout::create(folder));
  Progress progress(context, "fetching", total);
  Fetcher fetcher(api, layout, progress);
  TRY(fetcher.blob(digest, published.target.length));
  TRY_ASSIGN(const Bytes bytes, layout.read_blob(digest));
  TRY(tuf::verify_target_bytes(published.target, bytes));
  TRY_ASSIGN(const package::Index index, package::parse_index(bytes));
  for (const package::Variant& variant : index.variants) TRY(fetcher.package(variant).within(variant.kind));
  TRY(write_file(folder / "index.json", layout_index(options, digest, published.target.length)));
  TRY_ASSIGN(const tuf::ReleaseCustom custom, tuf::parse_release_custom(published.target.custom));
  TRY(save_release_counter(folder, custom.release_counter));
  TRY(write_file(folder / "drover" / (options.model + ".json"), published.role.encode()));
  return package::verify_layout(layout);
}

Status check_absent(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return {};
  return Error(Code::already_exists, path.string() + " exists already");
}

Result<int> export_release(const ExportOptions& options, Context& context) {
  TRY(check_release_name(options.model, options.version));
  const fs::path out = options.out;
  TRY(check_absent(out));
  TRY_ASSIGN(Api api, connect(context));
  const Scratch scratch(out);
  TRY(fetch_release(options, api, scratch.folder(), context));
  std::error_code error;
  if (is_tar_name(out))
    TRY(write_tar(scratch.folder(), out, [](std::uint64_t) {}));
  else
    fs::rename(scratch.folder(), out, error);
  if (error) return Error(Code::io, out.string() + ": " + error.message());
  const char* transport = is_tar_name(out) ? "oci-archive" : "oci";
  const Json result = {{"model", options.model}, {"version", options.version}, {"out", options.out}};
  context.show(result, [&] {
    return fmt::format("wrote {} {} to {}; other tools read it as {}:{}:{}\n", options.model, options.version,
                       options.out, transport, options.out, options.version);
  });
  return kOk;
}

Result<int> import_release(const ImportOptions& options, Context& context) {
  const fs::path source = options.source;
  std::error_code error;
  if (!fs::exists(source, error)) return Error(Code::not_found, source.string() + ": there is no such file or folder");
  const bool folder = fs::is_directory(source, error);
  if (folder && !options.out.empty())
    return Error(Code::invalid_argument, "--out unpacks a file; this is a folder already");
  if (!options.out.empty()) TRY(check_absent(options.out));
  const Scratch scratch(options.out.empty() ? source : fs::path(options.out));
  if (!folder) TRY(read_tar(source, scratch.folder(), [](std::uint64_t) {}));
  TRY_ASSIGN(const ReleaseFolder release, open_release(folder ? source : scratch.folder()));
  if (options.out.empty()) {
    TRY_ASSIGN(Api api, connect(context));
    std::string keys = options.key_file;
    if (keys.empty() && fs::exists(default_key_file(source), error)) keys = default_key_file(source).string();
    return push_release(release, keys, api, context);
  }
  fs::rename(scratch.folder(), options.out, error);
  if (error) return Error(Code::io, options.out + ": " + error.message());
  const Json result = {{"model", release.model()},
                       {"version", release.version()},
                       {"index", release.index.digest.text()},
                       {"out", options.out}};
  context.show(result,
               [&] { return fmt::format("unpacked {} {} to {}\n", release.model(), release.version(), options.out); });
  return kOk;
}

}  // namespace

void declare_release_transfer(CommandSpec& release, Context& context) {
  auto o = std::make_shared<ExportOptions>();
  CommandSpec& out = release.sub("export", "Write a published release to a file or folder that other tools read");
  out.details =
      "An OCI image layout, with every signature and digest checked on the way. skopeo and oras inspect and copy it; a "
      "device or another server takes it from a stick.";
  out.examples = {"drover release export mnist 1.2.0 --out mnist-1.2.0.tar",
                  "skopeo inspect --raw oci-archive:mnist-1.2.0.tar:1.2.0"};
  out.argument("MODEL", &o->model, "the model");
  out.argument("VERSION", &o->version, "the release");
  out.option("--out", "FILE.tar|DIR", &o->out, "a name that ends in .tar gives one file, any other a folder")
      .require()
      .file();
  out.action = [o, &context] { return export_release(*o, context); };
  auto i = std::make_shared<ImportOptions>();
  CommandSpec& in = release.sub("import", "Publish a release from a file or folder that was exported or copied");
  in.details = "Checks everything, uploads what the server lacks, and publishes the signed metadata that came along.";
  in.argument("FILE|DIR", &i->source, "what export, release build or skopeo wrote").file();
  in.option("--out", "DIR", &i->out, "only check and unpack, without a server").folder();
  in.option("--content-keys", "FILE", &i->key_file, "the key file of an encrypted release; FILE.keys when absent").file();
  in.action = [i, &context] { return import_release(*i, context); };
}

}  // namespace drover::cli
