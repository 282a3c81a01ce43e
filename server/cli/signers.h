// Keys on the command line, in files and in tokens (pkcs11: URIs): reading public halves, opening private ones (asking
// for passphrases and PINs), signing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/crypto/pkcs11.h"
#include "common/crypto/signer.h"
#include "common/tuf/author.h"
#include "server/cli/command.h"
#include "server/cli/context.h"

namespace drover::cli {

// --passphrase-file, for every command that opens private keys.
struct PassphraseOption {
  std::string file;
  void declare(CommandSpec& command);
};

// The key of "64 hexadecimal digits", of a .pub file (a TUF key object), of a private key file, of a public key in PEM
// (P-256 or RSA, of people whose HSM or KMS knows nothing else), or of a pkcs11: URI (needs no PIN).
Result<tuf::Key> read_public_key(const std::string& text_or_file);
Result<std::vector<tuf::Key>> read_public_keys(const std::vector<std::string>& texts_or_files);

struct NamedKey {
  std::string file;  // or URI
  tuf::Key key;
  std::unique_ptr<crypto::Signer> signer;
};

// Opens each. A passphrase, and a PIN that the URI does not give, is the passphrase file's first line, else asked for.
// The same key twice is refused.
Result<std::vector<NamedKey>> open_keys(const std::vector<std::string>& files, const PassphraseOption& passphrase,
                                        Context& context);

// True when the file holds a private key (a public one stands for somebody who signs elsewhere). A pkcs11: URI is one,
// unless it says type=public.
bool is_private_key_file(const std::string& file);

// Makes an Ed25519 key inside a token.
Result<crypto::TokenKey> make_token_key(const std::string& uri, const PassphraseOption& passphrase, Context& context);

// One signature; whether the key may sign is the caller's to know.
Status add_signature(tuf::Document& document, const NamedKey& key);

// Signs with each. unknown_key, naming the file and who may, when the role does not know a key.
Status sign_with(tuf::Document& document, const std::vector<NamedKey>& keys, const tuf::RoleKeys& role,
                 std::string_view what);

// Key ids, shortened, with commas.
std::string describe_keyids(const std::vector<std::string>& keyids);

// "2 of 2 signatures" or "1 of 2 signatures; 1 more needed, from: 3f0c..., a11b...".
std::string describe_signatures(const tuf::SignatureState& state);

// threshold_not_met with describe_signatures and the role's name, unless it is complete.
Status require_complete(const tuf::SignatureState& state, std::string_view role);

}  // namespace drover::cli
