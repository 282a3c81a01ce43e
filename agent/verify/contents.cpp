#include "agent/verify/contents.h"

#include <set>

#include "agent/fetch/hashing.h"

namespace drover::agent {

namespace asio = boost::asio;

asio::awaitable<Result<Contents>> ContentsReader::fetch(update::Target target) {
  auto bytes = co_await fetcher_.document(target.index, target.index_size);
  if (!bytes) co_return std::move(bytes).error();
  CO_TRY_ASSIGN(const package::Index index, package::parse_index(as_bytes(*bytes)));
  const package::Variant* variant = index.variant(kind_);
  if (variant == nullptr) co_return Error(Code::wrong_kind, "the release has no variant for " + kind_);
  if (variant->descriptor.digest.text() != target.package)
    co_return Error(Code::target_mismatch, "the variant that is assigned is not the release's for " + kind_);
  if (index.model != target.model || index.version != target.release)
    co_return Error(Code::target_mismatch, "the index is of " + index.model + "/" + index.version);
  bytes = co_await fetcher_.document(target.package, variant->descriptor.size);
  if (!bytes) co_return std::move(bytes).error();
  Contents contents;
  CO_TRY_ASSIGN(contents.manifest, package::parse_manifest(as_bytes(*bytes)));
  const package::File* policy = contents.manifest.file(package::kPolicyFile);
  if (policy == nullptr) co_return Error(Code::malformed, "the package has no drover.json");
  if (policy->size > package::kMaxPolicyBytes) co_return Error(Code::too_large, "drover.json is too large");
  bytes = co_await fetcher_.document(policy->digest.text(), policy->size);
  if (!bytes) co_return std::move(bytes).error();
  CO_TRY_ASSIGN(contents.policy, package::parse_policy(as_bytes(*bytes)));
  co_return contents;
}

Result<Contents> ContentsReader::read(const std::string& package) {
  Contents contents;
  TRY_ASSIGN(std::string bytes, fetcher_.stored_document(package, package::kMaxDocumentBytes));
  TRY_ASSIGN(contents.manifest, package::parse_manifest(as_bytes(bytes)));
  const package::File* policy = contents.manifest.file(package::kPolicyFile);
  if (policy == nullptr) return Error(Code::malformed, "the package has no drover.json");
  TRY_ASSIGN(bytes, fetcher_.stored_document(policy->digest.text(), package::kMaxPolicyBytes));
  TRY_ASSIGN(contents.policy, package::parse_policy(as_bytes(bytes)));
  return contents;
}

asio::awaitable<Status> ContentsReader::verify(package::Manifest manifest, std::function<bool()> stop) {
  std::set<std::string> seen;
  for (const Wanted& file : wanted_files(manifest)) {
    if (!seen.insert(file.digest).second) continue;
    const std::string path = layout_.blob(file.digest);
    Status checked = co_await check_file(files_, path, file.digest, file.size, stop);
    if (checked) continue;
    const Code code = checked.error().code();
    if (code == Code::digest_mismatch || code == Code::size_mismatch) {
      CO_TRY(files_.remove(path));
      CO_TRY(files_.sync_folder(layout_.blobs()));
    }
    co_return std::move(checked);
  }
  co_return Status();
}

}  // namespace drover::agent
