#include "server/cli/signers.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/crypto/key_file.h"
#include "common/crypto/pem_verify.h"
#include "common/crypto/secret.h"
#include "proto/json/reader.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/trust_store.h"

namespace drover::cli {
namespace {

constexpr std::size_t kMaxPublicKeyFile = 8192;
constexpr std::size_t kHexKey = 64;

bool looks_like_hex_key(std::string_view text) {
  return text.size() == kHexKey && text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

// Reads the passphrase once, for all keys of the command.
class Passphrases {
 public:
  Passphrases(const PassphraseOption& option, Context& context) : option_(option), context_(context) {}
  ~Passphrases() { crypto::wipe(from_file_); }
  Passphrases(const Passphrases&) = delete;
  Passphrases& operator=(const Passphrases&) = delete;

  Result<std::string> get(const std::string& key_file) {
    return get("passphrase of " + key_file + ": ",
               key_file + " is protected by a passphrase; give --passphrase-file FILE");
  }

  Result<std::string> pin(const crypto::PinQuestion& question) {
    if (question.last_try && !option_.file.empty())
      return Error(
          Code::permission_denied,
          "one more wrong PIN locks it, so the file's is not tried; leave --passphrase-file away, and type it");
    return get(fmt::format("PIN of token \"{}\"{}: ", printable(question.token),
                           question.last_try ? " (one more wrong one locks it)" : ""),
               "it wants a PIN; give --passphrase-file FILE, or pin-source=file:/path in the URI");
  }

 private:
  Result<std::string> get(const std::string& question, const std::string& otherwise) {
    if (option_.file.empty()) {
      auto answer = context_.terminal.ask(question, true);
      if (answer || context_.terminal.can_ask()) return answer;
      return Error(Code::invalid_argument, otherwise);
    }
    if (!read_) {
      TRY_ASSIGN(from_file_, read_file(option_.file, crypto::kMaxKeyFile).within("the passphrase"));
      from_file_.erase(std::min(from_file_.size(), from_file_.find_first_of("\r\n")));
      read_ = true;
    }
    return from_file_;
  }

  const PassphraseOption& option_;
  Context& context_;
  std::string from_file_;
  bool read_ = false;
};

Result<std::unique_ptr<crypto::Signer>> open_file(const std::string& file, Passphrases& passphrases) {
  TRY_ASSIGN(std::string text, crypto::read_key_file(file));
  auto encrypted = crypto::key_is_encrypted(text);
  if (!encrypted) return std::move(encrypted).error().within(file + " is no private key file");
  std::string passphrase;
  if (*encrypted) {
    TRY_ASSIGN(passphrase, passphrases.get(file));
  }
  auto key = crypto::decode_key(text, passphrase);
  crypto::wipe(passphrase);
  crypto::wipe(text);
  if (!key) return std::move(key).error().within(file);
  return crypto::make_signer(std::move(*key));
}

Result<std::unique_ptr<crypto::Signer>> open_key(const std::string& name, Passphrases& passphrases) {
  if (!crypto::is_pkcs11_uri(name)) return open_file(name, passphrases);
  TRY_ASSIGN(const crypto::Pkcs11Uri uri, crypto::parse_pkcs11_uri(name));
  return crypto::open_pkcs11(uri, [&](const crypto::PinQuestion& question) { return passphrases.pin(question); });
}

// What a file says about a key, when it is one of a kind that is taken.
Result<tuf::Key> read_key_text(const std::string& text) {
  if (const auto key = crypto::key_public_part(text)) return tuf::make_key(*key);
  if (const std::string_view scheme = crypto::pem_scheme(text); !scheme.empty())
    return tuf::read_key({{"keytype", scheme.starts_with("ecdsa") ? "ecdsa" : "rsa"},
                          {"scheme", scheme},
                          {"keyval", {{"public", text}}}});
  TRY_ASSIGN(const json::Value document, json::parse(text, kMaxPublicKeyFile));
  return tuf::read_key(document);
}

}  // namespace

void PassphraseOption::declare(CommandSpec& command) {
  command
      .option("--passphrase-file", "FILE", &file,
              "the keys' passphrase or PIN is the first line of this file; otherwise it is asked for")
      .file();
}

bool is_private_key_file(const std::string& file) {
  if (crypto::is_pkcs11_uri(file)) {
    const auto uri = crypto::parse_pkcs11_uri(file);
    return !uri || !uri->public_only;  // opening it tells what is wrong
  }
  const auto text = read_file(file, crypto::kMaxKeyFile);
  return text && crypto::key_is_encrypted(*text);
}

Result<tuf::Key> read_public_key(const std::string& text_or_file) {
  if (looks_like_hex_key(text_or_file)) {
    TRY_ASSIGN(const crypto::PublicKey key, crypto::parse_public_key(text_or_file));
    return tuf::make_key(key);
  }
  if (crypto::is_pkcs11_uri(text_or_file)) {
    TRY_ASSIGN(const crypto::Pkcs11Uri uri, crypto::parse_pkcs11_uri(text_or_file));
    TRY_ASSIGN(const crypto::TokenKey key, crypto::find_pkcs11(uri));
    return tuf::make_key(key.half);
  }
  TRY_ASSIGN(const std::string text, read_file(text_or_file, kMaxPublicKeyFile));
  auto key = read_key_text(text);
  if (!key)
    return Error(Code::invalid_argument,
                 fmt::format("{}: is neither a public key (.pub, or PEM of a P-256 or RSA key), nor a key file, nor 64 "
                             "hexadecimal digits, nor a pkcs11: URI",
                             text_or_file));
  return key;
}

Result<std::vector<tuf::Key>> read_public_keys(const std::vector<std::string>& texts_or_files) {
  std::vector<tuf::Key> keys;
  for (const std::string& text : texts_or_files) {
    TRY_ASSIGN(tuf::Key key, read_public_key(text));
    for (const tuf::Key& other : keys)
      if (other.id == key.id) return Error(Code::invalid_argument, text + ": the same key stands twice");
    keys.push_back(std::move(key));
  }
  return keys;
}

Result<std::vector<NamedKey>> open_keys(const std::vector<std::string>& files, const PassphraseOption& passphrase,
                                        Context& context) {
  Passphrases passphrases(passphrase, context);
  std::vector<NamedKey> keys;
  for (const std::string& file : files) {
    TRY_ASSIGN(std::unique_ptr<crypto::Signer> signer, open_key(file, passphrases));
    tuf::Key key = tuf::make_key(signer->public_half());
    for (const NamedKey& other : keys)
      if (other.key.id == key.id)
        return Error(Code::invalid_argument,
                     fmt::format("{} and {} hold the same key; it counts once", other.file, file));
    keys.push_back(NamedKey{file, std::move(key), std::move(signer)});
  }
  return keys;
}

Result<crypto::TokenKey> make_token_key(const std::string& uri, const PassphraseOption& passphrase, Context& context) {
  TRY_ASSIGN(const crypto::Pkcs11Uri parsed, crypto::parse_pkcs11_uri(uri));
  Passphrases passphrases(passphrase, context);
  return crypto::generate_pkcs11(
      parsed, [&](const crypto::PinQuestion& question) { return passphrases.pin(question); }, context.rng);
}

Status add_signature(tuf::Document& document, const NamedKey& key) {
  return document.sign(*key.signer).within(key.file);
}

Status sign_with(tuf::Document& document, const std::vector<NamedKey>& keys, const tuf::RoleKeys& role,
                 std::string_view what) {
  for (const NamedKey& key : keys)
    if (std::find(role.keyids.begin(), role.keyids.end(), key.key.id) == role.keyids.end())
      return Error(Code::unknown_key,
                   fmt::format("{} (key {}) may not sign {}; it takes {} of {}", key.file, short_keyid(key.key.id),
                               what, role.threshold, describe_keyids(role.keyids)));
  for (const NamedKey& key : keys) TRY(add_signature(document, key));
  return {};
}

std::string describe_keyids(const std::vector<std::string>& keyids) {
  std::string out;
  for (const std::string& id : keyids) out += (out.empty() ? "" : ", ") + short_keyid(id);
  return out;
}

std::string describe_signatures(const tuf::SignatureState& state) {
  const auto have = static_cast<int>(state.signed_by.size());
  std::string text = fmt::format("{} of {} signature{}", have, state.threshold, state.threshold == 1 ? "" : "s");
  if (!state.complete())
    text += fmt::format("; {} more needed, from: {}", state.threshold - have, describe_keyids(state.missing));
  return text;
}

Status require_complete(const tuf::SignatureState& state, std::string_view role) {
  if (state.complete()) return {};
  return Error(Code::threshold_not_met, fmt::format("{}: {}", role, describe_signatures(state)));
}

}  // namespace drover::cli
