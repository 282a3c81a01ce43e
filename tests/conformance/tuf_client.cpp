// The project's metadata client behind the command line of the public TUF conformance suite (its CLIENT-CLI.md):
//   tuf-client --metadata-dir D init TRUSTED_ROOT
//   tuf-client --metadata-url U --metadata-dir D refresh
//   tuf-client --metadata-url U --metadata-dir D --target-name T --target-dir G --target-base-url B download
// The exit status is 0 or 1, whatever happens. It has no time floor: the suite moves the clock as it likes.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "common/crypto/pem_verify.h"
#include "common/fs/files.h"
#include "common/net/http_client.h"
#include "common/time/clock.h"
#include "common/tuf/refresh.h"

namespace {

using namespace drover;

constexpr std::size_t kMaxTarget = 64 * 1024 * 1024;  // the suite's are tiny; they are held in memory here

struct Arguments {
  std::string metadata_dir, metadata_url, target_dir, target_base_url, trusted_root;
  std::vector<std::string> target_names;
};

// One server; file names are appended to the URL as they are.
class Remote final : public tuf::MetadataSource {
 public:
  static Result<Remote> create(const std::string& url) {
    net::ClientOptions options;
    options.base_url = url;
    TRY_ASSIGN(auto client, net::BlockingHttpClient::create(std::move(options)));
    return Remote(std::move(client));
  }
  Result<Bytes> fetch(std::string_view name, std::uint64_t max_length) override {
    net::ClientRequest request;
    request.target = "/" + std::string(name);
    request.max_body = static_cast<std::size_t>(max_length);
    TRY_ASSIGN(const net::ClientResponse response, client_->send(std::move(request)));
    if (response.status == 404) return Error(Code::not_found, std::string(name) + " is not there");
    if (response.status != 200)
      return Error(Code::unavailable, std::string(name) + ": status " + std::to_string(response.status));
    return Bytes(response.body.begin(), response.body.end());
  }

 private:
  explicit Remote(std::unique_ptr<net::BlockingHttpClient> client) : client_(std::move(client)) {}
  std::unique_ptr<net::BlockingHttpClient> client_;
};

class FolderStore final : public tuf::MetadataStore {
 public:
  explicit FolderStore(std::string folder) : folder_(std::move(folder)) {}
  Result<Bytes> load(std::string_view role) override {
    TRY_ASSIGN(const std::string text, fs::system_files().read(path(role), tuf::kMaxTargetsBytes));
    return Bytes(text.begin(), text.end());
  }
  Status save(std::string_view role, ByteView bytes) override {
    return fs::write_atomic(fs::system_files(), path(role), as_text(bytes));
  }

 private:
  std::string path(std::string_view role) const { return folder_ + "/" + tuf::encode_role_name(role) + ".json"; }
  std::string folder_;
};

Status init(const Arguments& arguments) {
  TRY_ASSIGN(const std::string root, fs::system_files().read(arguments.trusted_root, tuf::kMaxRootBytes));
  return FolderStore(arguments.metadata_dir).save(tuf::kRoot, as_bytes(root));
}

// "dir/file" -> "dir/<hash>.file", each part escaped for a URL.
std::string remote_name(const std::string& path, const tuf::Target& target, bool with_hash) {
  std::string name;
  std::size_t begin = 0;
  for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', begin)) {
    name += tuf::encode_role_name(std::string_view(path).substr(begin, slash - begin)) + "/";
    begin = slash + 1;
  }
  if (with_hash) name += target.hashes.begin()->second + ".";
  return name + tuf::encode_role_name(std::string_view(path).substr(begin));
}

Status download_one(const std::string& path, const Arguments& arguments, tuf::Refresh& refresh, Remote& metadata,
                    Remote& targets) {
  refresh.find(path);
  TRY(tuf::run(refresh, metadata));
  if (!refresh.found()) return Error(Code::target_not_listed, path + " is not listed");
  const tuf::Target& target = refresh.found()->target;
  const std::string local = arguments.target_dir + "/" + tuf::encode_role_name(path);
  if (target.length > kMaxTarget) return Error(Code::too_large, path + " is too large for this program");
  const auto present = fs::system_files().read(local, kMaxTarget);
  if (present && tuf::verify_target_bytes(target, as_bytes(*present))) return {};
  TRY_ASSIGN(const Bytes bytes,
             targets.fetch(remote_name(path, target, refresh.trusted().root().consistent_snapshot), target.length));
  TRY(tuf::verify_target_bytes(target, bytes).within(path));
  return fs::write_atomic(fs::system_files(), local, as_text(bytes));
}

Status refresh_and_download(const Arguments& arguments) {
  FolderStore store(arguments.metadata_dir);
  TRY_ASSIGN(tuf::Refresh refresh, tuf::Refresh::start(store, system_clock().wall(), crypto::verify_pem));
  TRY_ASSIGN(Remote metadata, Remote::create(arguments.metadata_url));
  TRY(tuf::run(refresh, metadata));
  if (arguments.target_names.empty()) return {};
  TRY_ASSIGN(Remote targets, Remote::create(arguments.target_base_url));
  for (const std::string& path : arguments.target_names) TRY(download_one(path, arguments, refresh, metadata, targets));
  return {};
}

Status run(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("The metadata client, for the TUF conformance suite");
  app.add_option("--metadata-dir", arguments.metadata_dir)->required();
  app.add_option("--metadata-url", arguments.metadata_url);
  app.add_option("--target-name", arguments.target_names)->take_all()->allow_extra_args(false);
  app.add_option("--target-dir", arguments.target_dir);
  app.add_option("--target-base-url", arguments.target_base_url);
  app.require_subcommand(1);
  CLI::App* init_command = app.add_subcommand("init");
  init_command->add_option("trusted_root", arguments.trusted_root)->required();
  app.add_subcommand("refresh");
  CLI::App* download_command = app.add_subcommand("download");
  app.parse(argc, argv);
  if (*init_command) return init(arguments);
  if (*download_command && arguments.target_names.empty())
    return Error(Code::invalid_argument, "--target-name is missing");
  if (!*download_command) arguments.target_names.clear();
  return refresh_and_download(arguments);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Status status = run(argc, argv);
    if (status) return 0;
    std::fprintf(stderr, "tuf-client: %s\n", status.error().message().c_str());
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "tuf-client: %s\n", exception.what());
  }
  return 1;
}
