// keys generate, list, show.
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
#include "server/cli/trust_store.h"

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShortest = 8;  // of a passphrase: Argon2id makes each guess cost, but not that much

struct GenerateOptions {
  std::string file, passphrase_file;
  bool no_passphrase = false;
};

struct KeyInfo {
  std::string file;
  tuf::Key key;
  std::string kind;  // "private, passphrase", "private", "public"
};

Result<std::string> new_passphrase(const GenerateOptions& options, Context& context) {
  if (options.no_passphrase) return std::string();
  std::string passphrase;
  if (!options.passphrase_file.empty()) {
    TRY_ASSIGN(passphrase, read_file(options.passphrase_file, crypto::kMaxKeyFile));
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

Result<int> generate(const GenerateOptions& options, Context& context) {
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
  TRY_ASSIGN(tuf::Key key, read_public_key(file));
  const auto text = read_file(file, crypto::kMaxKeyFile);
  const auto encrypted = text ? crypto::key_is_encrypted(*text) : Result<bool>(text.error());
  return KeyInfo{file, std::move(key), !encrypted ? "public" : *encrypted ? "private, passphrase" : "private"};
}

Result<int> list(const std::string& folder, Context& context) {
  std::error_code error;
  std::vector<KeyInfo> keys;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (!entry.is_regular_file(error)) continue;
    if (auto info = read_info((fs::path(folder) / entry.path().filename()).lexically_normal().string()))
      keys.push_back(std::move(*info));
  }
  if (error) return Error(Code::not_found, folder + ": " + error.message());
  std::sort(keys.begin(), keys.end(), [](const KeyInfo& a, const KeyInfo& b) { return a.file < b.file; });
  Json items = Json::array();
  Table table({{"FILE"}, {"KIND"}, {"KEY ID"}});
  for (const KeyInfo& info : keys) {
    items.push_back(key_json(info));
    table.add({info.file, info.kind, short_keyid(info.key.id)});
  }
  context.show({{"items", items}}, [&] {
    return table.empty() ? "no keys in " + folder + "\n" : table.render(context.out_style(), context.out_width());
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
      "FILE.pub.";
  make.examples = {"drover keys generate release-alice.key", "drover keys generate ci.key --passphrase-file ci.pass"};
  make.argument("FILE", &made->file, "the new key file").file();
  make.option("--passphrase-file", "FILE", &made->passphrase_file,
              "the passphrase is the first line of this file; otherwise it is asked for")
      .file();
  make.flag("--no-passphrase", made->no_passphrase,
            "leave the key unprotected (demonstrations, hardware-protected disks)");
  make.action = [made, &context] { return generate(*made, context); };

  auto folder = std::make_shared<std::string>(".");
  CommandSpec& all = keys.sub("list", "List the key files of a folder");
  all.option("FOLDER", "FOLDER", folder.get(), "the folder; the present one when absent").folder();
  all.action = [folder, &context] { return list(*folder, context); };

  auto file = std::make_shared<std::string>();
  CommandSpec& one = keys.sub("show", "Show a key's id and public half; needs no passphrase");
  one.argument("FILE", file.get(), "a key file, a .pub file, or 64 hexadecimal digits").file();
  one.action = [file, &context] { return show(*file, context); };
}

}  // namespace drover::cli
