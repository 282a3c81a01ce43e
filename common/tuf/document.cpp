#include <algorithm>

#include "common/tuf/author.h"
#include "common/tuf/canonical.h"
#include "common/tuf/verify.h"

namespace drover::tuf {
namespace {

using Json = nlohmann::json;

}  // namespace

Result<Document> Document::parse(ByteView bytes, std::uint64_t limit) {
  TRY_ASSIGN(Envelope envelope, parse_envelope(bytes, limit));
  Document document(std::move(envelope.signed_part));
  for (const FileSignature& signature : envelope.signatures)
    document.signatures_.push_back({{"keyid", signature.keyid}, {"sig", to_hex(signature.signature)}});
  return document;
}

std::string Document::type() const { return signed_.value("_type", ""); }
std::int64_t Document::version() const {
  const auto found = signed_.find("version");
  return found != signed_.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}
Result<WallTime> Document::expires() const {
  const auto found = signed_.find("expires");
  if (found == signed_.end() || !found->is_string()) return Error(Code::malformed, "/signed/expires: is missing");
  return parse_time(found->get_ref<const std::string&>());
}

Json& Document::edit() {
  signatures_ = Json::array();
  return signed_;
}

void Document::bump(WallTime expires) {
  Json& part = edit();
  part["version"] = version() + 1;
  part["expires"] = format_time(expires);
}

Status Document::sign(const crypto::KeyPair& pair) {
  TRY_ASSIGN(const std::string canonical, canonical_json(signed_));
  put_signature(make_key(pair.public_key()).id, pair.sign(canonical));
  return {};
}

Status Document::sign(crypto::Signer& signer) {
  TRY_ASSIGN(const std::string canonical, canonical_json(signed_));
  TRY_ASSIGN(const Bytes signature, signer.sign(canonical));
  put_signature(make_key(signer.public_half()).id, signature);
  return {};
}

void Document::put_signature(const std::string& keyid, ByteView signature) {
  Json entry = {{"keyid", keyid}, {"sig", to_hex(signature)}};
  const auto old = std::find_if(signatures_.begin(), signatures_.end(),
                                [&](const Json& one) { return one["keyid"] == entry["keyid"]; });
  if (old == signatures_.end())
    signatures_.push_back(std::move(entry));
  else
    *old = std::move(entry);
}

Status Document::merge(const Document& other) {
  TRY_ASSIGN(const std::string ours, canonical_json(signed_));
  TRY_ASSIGN(const std::string theirs, canonical_json(other.signed_));
  if (ours != theirs)
    return Error(Code::metadata_mismatch, "the two files do not say the same: their signatures cannot be joined");
  for (const Json& entry : other.signatures_) {
    const auto same = std::find_if(signatures_.begin(), signatures_.end(),
                                   [&](const Json& old) { return old["keyid"] == entry["keyid"]; });
    if (same == signatures_.end())
      signatures_.push_back(entry);
    else if ((*same)["sig"] == "")
      *same = entry;  // a place that was kept for this key
  }
  return {};
}

std::string Document::encode() const {
  // `replace`: text that is not UTF-8 gives a file that does not verify, and no exception.
  return Json({{"signed", signed_}, {"signatures", signatures_}}).dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Envelope> Document::envelope() const {
  const std::string encoded = encode();
  return parse_envelope(as_bytes(encoded), std::max<std::uint64_t>(kMaxTargetsBytes, encoded.size()));
}

Result<MetaFile> Document::describe(ByteView encoded) {
  TRY_ASSIGN(const Document document, parse(encoded));
  if (document.version() < 1) return Error(Code::malformed, "/signed/version: is missing");
  return MetaFile{document.version(), encoded.size(), {{"sha256", crypto::sha256(encoded).hex()}}};
}

Result<SignatureState> signature_state(const Document& document, const Keys& keys, const RoleKeys& role,
                                       ForeignVerify foreign) {
  TRY_ASSIGN(const Envelope envelope, document.envelope());
  SignatureState state{
      .signed_by = valid_signers(keys, role, envelope, foreign), .missing = {}, .threshold = role.threshold};
  for (const std::string& keyid : role.keyids)
    if (std::find(state.signed_by.begin(), state.signed_by.end(), keyid) == state.signed_by.end())
      state.missing.push_back(keyid);
  return state;
}

}  // namespace drover::tuf
