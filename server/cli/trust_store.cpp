#include "server/cli/trust_store.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/crypto/pem_verify.h"
#include "common/tuf/verify.h"
#include "server/cli/files.h"
#include "server/cli/human.h"

namespace drover::cli {
namespace {

class ApiSource final : public tuf::MetadataSource {
 public:
  explicit ApiSource(Api& api) : api_(api) {}
  Result<Bytes> fetch(std::string_view file_name, std::uint64_t max_length) override {
    TRY_ASSIGN(const std::string text, api_.metadata(file_name, max_length));
    const ByteView bytes = as_bytes(text);
    return Bytes(bytes.begin(), bytes.end());
  }

 private:
  Api& api_;
};

// Trust on first use: said aloud, with what a person can compare.
Status pin_first_root(Api& api, Context& context, FolderMetadataStore& store) {
  constexpr std::string_view kFirstRoot = "1.root.json";
  auto text = api.metadata(kFirstRoot, tuf::kMaxRootBytes);
  if (!text && text.error().code() == Code::not_found)
    return Error(Code::not_found, "the server has no trust yet; an administrator runs: drover trust init");
  if (!text) return std::move(text).error();
  TRY_ASSIGN(
      const tuf::TrustedSet set,
      tuf::TrustedSet::create(as_bytes(*text), context.clock.wall(), crypto::verify_pem).within("the server's root"));
  TRY(store.save(tuf::kRoot, as_bytes(*text)));
  context.note(
      fmt::format("trusting this server's root for the first time; compare its keys with those you were told: {}",
                  describe_root(set.root())));
  return {};
}

}  // namespace

std::filesystem::path FolderMetadataStore::file(std::string_view role) const {
  return folder_ / (tuf::encode_role_name(role) + ".json");
}

Result<Bytes> FolderMetadataStore::load(std::string_view role) {
  TRY_ASSIGN(const std::string text, read_file(file(role)));
  const ByteView bytes = as_bytes(text);
  return Bytes(bytes.begin(), bytes.end());
}

Status FolderMetadataStore::save(std::string_view role, ByteView bytes) {
  TRY(make_folder(folder_, 0700));
  return write_file(file(role), as_text(bytes), 0600);
}

Status FolderMetadataStore::forget() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error))
    if (entry.path().extension() == ".json" && entry.path().filename() != "root.json")
      std::filesystem::remove(entry.path(), error);
  return error && error != std::errc::no_such_file_or_directory
             ? Status(Error(Code::io, folder_.string() + ": " + error.message()))
             : Status();
}

FolderMetadataStore trust_store(const Profile& profile) { return FolderMetadataStore(profile.folder / "trust"); }

Result<Trust> Trust::refresh(Api& api, Context& context) { return walk(api, context, context.clock.wall()); }

Result<Trust> Trust::refresh_for_signing(Api& api, Context& context) {
  auto trust = walk(api, context, context.clock.wall());
  if (!trust && trust.error().code() == Code::metadata_expired) {
    context.note(fmt::format("note: {}; signing anew makes it current", trust.error().message()));
    trust = walk(api, context, WallTime{});
  }
  if (trust) trust->for_signing_ = &context;
  return trust;
}

Result<Trust> Trust::walk(Api& api, Context& context, WallTime now) {
  FolderMetadataStore store = trust_store(api.profile());
  if (!store.load(tuf::kRoot)) TRY(pin_first_root(api, context, store));
  // The walk keeps the store's address: it must be where it stays.
  auto kept = std::make_unique<FolderMetadataStore>(std::move(store));
  TRY_ASSIGN(tuf::Refresh refresh, tuf::Refresh::start(*kept, now, crypto::verify_pem));
  ApiSource source(api);
  TRY(tuf::run(refresh, source).within("checking the server's metadata"));
  return Trust(std::move(kept), std::move(refresh));
}

Result<const tuf::Delegation*> Trust::delegation(std::string_view model) const {
  const tuf::Delegation* found = targets().delegation(model);
  if (found != nullptr && model != tuf::kDirector) return found;
  return Error(
      Code::not_found,
      fmt::format(
          "nobody may sign releases of {0} yet; an administrator runs: drover trust delegate {0} --release-key PUB "
          "--targets-key KEY",
          printable(model)));
}

Result<std::optional<tuf::Document>> Trust::role(Api& api, std::string_view model) {
  auto found = find_role(api, model);
  if (found || for_signing_ == nullptr || found.error().code() != Code::metadata_expired) return found;
  for_signing_->note(fmt::format("note: {}; signing anew makes it current", found.error().message()));
  TRY_ASSIGN(Trust again, walk(api, *for_signing_, WallTime{}));
  store_ = std::move(again.store_);
  refresh_ = std::move(again.refresh_);
  return find_role(api, model);
}

Result<std::optional<tuf::Document>> Trust::find_role(Api& api, std::string_view model) {
  if (set().listed(model) == nullptr) return std::optional<tuf::Document>();
  ApiSource source(api);
  refresh_.find(std::string(model) + "/-");  // any path of the model: the search loads and verifies the role
  TRY(tuf::run(refresh_, source).within("checking the metadata of " + std::string(model)));
  TRY_ASSIGN(tuf::Document found, document(model));
  return std::optional(std::move(found));
}

Result<SigningRole> Trust::signing_role(Api& api, std::string_view name) {
  SigningRole out;
  if (name == tuf::kRoot || name == tuf::kTargets) {
    const tuf::Root& root = set().root();
    out.keys = root.keys;
    out.role = root.roles.find(name)->second;
    TRY_ASSIGN(out.current, document(name));
    return out;
  }
  TRY_ASSIGN(const tuf::Delegation* delegated, delegation(name));
  out.keys = targets().delegation_keys;
  out.role = delegated->keys;
  TRY_ASSIGN(out.current, role(api, name));
  return out;
}

Result<tuf::Document> Trust::document(std::string_view role) {
  TRY_ASSIGN(const Bytes bytes, store_->load(role));
  return tuf::Document::parse(bytes);
}

std::string short_keyid(std::string_view keyid) { return std::string(keyid.substr(0, 16)); }

std::string describe_root(const tuf::Root& root) {
  std::vector<std::string> ids;
  const auto role = root.roles.find(tuf::kRoot);
  if (role == root.roles.end()) return "";
  for (const std::string& id : role->second.keyids) ids.push_back(short_keyid(id));
  return fmt::format("{} (any {} of {})", fmt::join(ids, ", "), role->second.threshold, ids.size());
}

}  // namespace drover::cli
