// keys generate, list, show; rotate is trust/rotate.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "common/crypto/key_file.h"
#include "common/crypto/secret.h"
#include "server/cli/api.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/signers.h"
#include "server/cli/table.h"
#include "server/cli/trust/commands.h"
#include "server/cli/trust_store.h"

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShortest = 8;  // of a passphrase: Argon2id makes each guess cost, but not that much

struct GenerateOptions {
  std::string file, uri;
  PassphraseOption passphrase;
  bool no_passphrase = false;
};

struct KeyInfo {
  std::string file;
  tuf::Key key;
  std::string kind;  // "private, passphrase", "private", "public", "token"
};

Result<std::string> new_passphrase(const GenerateOptions& options, Context& context) {
  if (options.no_passphrase) return std::string();
  std::string passphrase;
  if (!options.passphrase.file.empty()) {
    TRY_ASSIGN(passphrase, read_file(options.passphrase.file, crypto::kMaxKeyFile));
    passphrase.erase(std::min(passphrase.size(), passphrase.find_first_of("\r\n")));
  } else {
    if (!context.terminal.can_ask())
      return Error(Code::invalid_argument, "a passphrase is missing; give --passphrase-file FILE, or --no-passphrase");
    TRY_ASSIGN(passphrase, context.terminal.ask("new passphrase: ", true));
    TRY_ASSIGN(std::string again, context.terminal.ask("once more: ", true));
    const bool same = passphrase == again;
    crypto::wipe(again);
    if (!same) return Error(Code::invalid_argument, "the two passphrases differ");
  }
  if (passphrase.size() < kShortest)
    return Error(Code::invalid_argument,
                 fmt::format("a passphrase has at least {} characters (or give --no-passphrase)", kShortest));
  return passphrase;
}

Json key_json(const KeyInfo& info) {
  return {{"file", info.file},
          {"keyid", info.key.id},
          {"public", info.key.public_text},
          {"kind", info.kind},
          {"key", info.key.object}};
}

KeyInfo token_info(const crypto::TokenKey& key) { return {to_text(key.uri), tuf::make_key(key.half), "token"}; }

Status check_not_there(const std::string& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  return Error(Code::already_exists, file + " exists; a key is never overwritten");
}

// FILE is where the public half goes: what other people need, with and without the token at hand.
Result<int> generate_in_token(const GenerateOptions& options, Context& context) {
  if (options.no_passphrase)
    return Error(Code::invalid_argument, "--no-passphrase is for key files: a token has its PIN");
  const std::string public_file = options.file.empty() ? "" : options.file + ".pub";
  if (!public_file.empty()) TRY(check_not_there(public_file));
  TRY_ASSIGN(const crypto::TokenKey made, make_token_key(options.uri, options.passphrase, context));
  const KeyInfo info = token_info(made);
  if (!public_file.empty()) TRY(write_file(public_file, info.key.object.dump(2) + "\n"));
  context.show(key_json(info), [&] {
    return fmt::format("made a key in token \"{}\"\n  key id  {}\n  key     {}\n{}", printable(made.token), info.key.id,
                       info.file, public_file.empty() ? "" : "  public  " + public_file + "\n");
  });
  return kOk;
}

Result<int> generate(const GenerateOptions& options, Context& context) {
  if (!options.uri.empty()) return generate_in_token(options, context);
  if (options.file.empty()) return Error(Code::invalid_argument, "give FILE, or --pkcs11 URI");
  const std::string public_file = options.file + ".pub";
  std::error_code error;
  if (fs::exists(options.file, error) || fs::exists(public_file, error))
    return Error(Code::already_exists, options.file + " (or its .pub) exists; a key is never overwritten");
  TRY_ASSIGN(std::string passphrase, new_passphrase(options, context));
  const auto pair = crypto::KeyPair::generate(context.rng);
  const Status saved = crypto::save_key_file(options.file, pair, passphrase, context.rng);
  const bool encrypted = !passphrase.empty();
  crypto::wipe(passphrase);
  TRY(saved);
  const KeyInfo info{options.file, tuf::make_key(pair.public_key()), encrypted ? "private, passphrase" : "private"};
  TRY(write_file(public_file, info.key.object.dump(2) + "\n"));
  context.show(key_json(info), [&] {
    return fmt::format("{}\n  key id  {}\n  secret  {}{}\n  public  {}\n", "made a key", info.key.id, options.file,
                       encrypted ? "" : "  (no passphrase: keep it where nobody else reads)", public_file);
  });
  return kOk;
}

Result<KeyInfo> read_info(const std::string& file) {
  if (crypto::is_pkcs11_uri(file)) {
    TRY_ASSIGN(const crypto::Pkcs11Uri uri, crypto::parse_pkcs11_uri(file));
    TRY_ASSIGN(const crypto::TokenKey key, crypto::find_pkcs11(uri));
    return token_info(key);
  }
  TRY_ASSIGN(tuf::Key key, read_public_key(file));
  const auto text = read_file(file, crypto::kMaxKeyFile);
  const auto encrypted = text ? crypto::key_is_encrypted(*text) : Result<bool>(text.error());
  return KeyInfo{file, std::move(key), !encrypted ? "public" : *encrypted ? "private, passphrase" : "private"};
}

Result<std::vector<KeyInfo>> token_keys(const std::string& text) {
  TRY_ASSIGN(const crypto::Pkcs11Uri uri, crypto::parse_pkcs11_uri(text));
  TRY_ASSIGN(const std::vector<crypto::TokenKey> found, crypto::list_pkcs11(uri));
  std::vector<KeyInfo> keys;
  for (const crypto::TokenKey& key : found) keys.push_back(token_info(key));
  return keys;
}

Result<std::vector<KeyInfo>> folder_keys(const std::string& folder) {
  std::error_code error;
  std::vector<KeyInfo> keys;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (!entry.is_regular_file(error)) continue;
    if (auto info = read_info((fs::path(folder) / entry.path().filename()).lexically_normal().string()))
      keys.push_back(std::move(*info));
  }
  if (error) return Error(Code::not_found, folder + ": " + error.message());
  std::sort(keys.begin(), keys.end(), [](const KeyInfo& a, const KeyInfo& b) { return a.file < b.file; });
  return keys;
}

Result<int> list(const std::string& where, Context& context) {
  TRY_ASSIGN(const std::vector<KeyInfo> keys, crypto::is_pkcs11_uri(where) ? token_keys(where) : folder_keys(where));
  Json items = Json::array();
  Table table({{"FILE"}, {"KIND"}, {"KEY ID"}});
  for (const KeyInfo& info : keys) {
    items.push_back(key_json(info));
    table.add({info.file, info.kind, short_keyid(info.key.id)});
  }
  context.show({{"items", items}}, [&] {
    return table.empty() ? "no keys in " + where + "\n" : table.render(context.out_style(), context.out_width());
  });
  return kOk;
}

Result<int> show(const std::string& file, Context& context) {
  TRY_ASSIGN(const KeyInfo info, read_info(file));
  context.show(key_json(info), [&] {
    return render_fields(
        {{"file", info.file}, {"kind", info.kind}, {"key id", info.key.id}, {"public", info.key.public_text}},
        context.out_style());
  });
  return kOk;
}

}  // namespace

void add_keys_commands(CommandSpec& root, Context& context) {
  CommandSpec& keys = root.sub("keys", "Make and look at signing keys; they never leave this machine");
  auto made = std::make_shared<GenerateOptions>();
  CommandSpec& make = keys.sub("generate", "Make an Ed25519 key");
  make.details =
      "Writes the private key to FILE (mode 0600, protected by Argon2id and a passphrase) and the public one to "
      "FILE.pub.\n"
      "With --pkcs11 the private key is made inside a token (an HSM, a smart card) and never leaves it; FILE may be "
      "left "
      "away, and only FILE.pub is written.";
  make.examples = {"drover keys generate release-alice.key", "drover keys generate ci.key --passphrase-file ci.pass",
                   "drover keys generate alice --pkcs11 "
                   "'pkcs11:token=releases;object=alice?module-path=/usr/lib/softhsm/libsofthsm2.so'"};
  make.option("FILE", "FILE", &made->file, "the new key file").file();
  make.option("--pkcs11", "URI", &made->uri, "make it in this token; object= names the key");
  made->passphrase.declare(make);
  make.flag("--no-passphrase", made->no_passphrase,
            "leave the key unprotected (demonstrations, hardware-protected disks)");
  make.action = [made, &context] { return generate(*made, context); };

  auto folder = std::make_shared<std::string>(".");
  CommandSpec& all = keys.sub("list", "List the keys of a folder or a token");
  all.examples = {"drover keys list", "drover keys list 'pkcs11:token=releases'"};
  all.option("FOLDER", "FOLDER", folder.get(), "the folder, or a pkcs11: URI; the present folder when absent").folder();
  all.action = [folder, &context] { return list(*folder, context); };

  auto file = std::make_shared<std::string>();
  CommandSpec& one = keys.sub("show", "Show a key's id and public half; needs no passphrase");
  one.argument("FILE", file.get(), "a key file, a .pub file, 64 hexadecimal digits, or a pkcs11: URI").file();
  one.action = [file, &context] { return show(*file, context); };
  declare_keys_rotate(keys, context);
}

}  // namespace drover::cli
