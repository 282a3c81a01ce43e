// trust doctor.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "server/cli/exit_code.h"
#include "server/cli/human.h"
#include "server/cli/table.h"
#include "server/cli/trust/change_command.h"
#include "server/cli/trust/commands.h"
#include "server/cli/trust/diagnosis.h"
#include "server/cli/trust_store.h"

namespace drover::cli {
namespace {

struct DoctorOptions {
  std::string keys = ".", from;
  std::int64_t warn_days = 30;
};

Result<std::vector<MyKey>> keys_in_token(const std::string& text) {
  TRY_ASSIGN(const crypto::Pkcs11Uri uri, crypto::parse_pkcs11_uri(text));
  TRY_ASSIGN(const std::vector<crypto::TokenKey> found, crypto::list_pkcs11(uri));
  std::vector<MyKey> out;
  for (const crypto::TokenKey& key : found) out.push_back({"'" + to_text(key.uri) + "'", tuf::make_key(key.half).id});
  return out;
}

Result<std::vector<MyKey>> keys_in(const std::string& folder) {
  namespace fs = std::filesystem;
  if (crypto::is_pkcs11_uri(folder)) return keys_in_token(folder);
  std::vector<MyKey> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string file = (fs::path(folder) / entry.path().filename()).lexically_normal().string();
    if (!entry.is_regular_file(error) || !is_private_key_file(file)) continue;
    if (auto key = read_public_key(file)) out.push_back({file, key->id});
  }
  std::sort(out.begin(), out.end(), [](const MyKey& a, const MyKey& b) { return a.file < b.file; });
  return out;
}

Result<RoleState> state_of(const std::string& role, const tuf::RoleKeys& keys, const tuf::Document* document) {
  RoleState out{role, keys.threshold, keys.keyids, 0, std::nullopt};
  if (document == nullptr) return out;
  out.version = document->version();
  TRY_ASSIGN(out.expires, document->expires());
  return out;
}

Result<std::vector<RoleState>> people_roles(Present& present) {
  std::vector<RoleState> out;
  TRY_ASSIGN(const tuf::Root root, parse_root(*present.root()));
  TRY_ASSIGN(RoleState first, state_of("root", root.roles.find(tuf::kRoot)->second, present.root()));
  out.push_back(std::move(first));
  TRY_ASSIGN(RoleState second, state_of("targets", root.roles.find(tuf::kTargets)->second, &*present.targets));
  out.push_back(std::move(second));
  TRY_ASSIGN(const tuf::Targets targets, parse_targets(*present.targets));
  for (const tuf::Delegation& one : targets.delegations) {
    if (one.name == tuf::kDirector) continue;
    TRY_ASSIGN(const std::optional<tuf::Document>* model, present.model(one.name));
    TRY_ASSIGN(RoleState state, state_of(one.name, one.keys, *model ? &**model : nullptr));
    out.push_back(std::move(state));
  }
  return out;
}

Result<std::vector<OnlineState>> online_keys(const Present& present, const Json& trust) {
  TRY_ASSIGN(const tuf::Root root, parse_root(*present.root()));
  TRY_ASSIGN(const tuf::Targets targets, parse_targets(*present.targets));
  std::vector<OnlineState> out;
  for (const std::string_view role : {tuf::kSnapshot, tuf::kTimestamp, tuf::kDirector}) {
    const tuf::Delegation* director = targets.delegation(tuf::kDirector);
    const auto top = root.roles.find(role);
    if (role == tuf::kDirector && director == nullptr) continue;
    const tuf::RoleKeys& keys = role == tuf::kDirector ? director->keys : top->second;
    OnlineState one{std::string(role), keys.keyids.empty() ? "" : keys.keyids.front(), std::nullopt, false};
    if (const auto made = parse_time(text_of(member_of(trust, "keys_made"), role))) one.made = *made;
    one.next_waits = !member_of(member_of(trust, "next_keys"), role).is_null();
    out.push_back(std::move(one));
  }
  return out;
}

// What the server says of its own roles: they renew themselves, and if not, it says so.
std::vector<Finding> online_warnings(const Json& trust) {
  std::vector<Finding> out;
  for (const Json& warning : items_of(trust, "warnings")) {
    const std::string role = text_of(warning, "role");
    if (role != tuf::kSnapshot && role != tuf::kTimestamp) continue;
    const bool expired = text_of(warning, "severity") == "expired";
    out.push_back({expired ? Level::broken : Level::warning, expired ? "expired" : "expires_soon", role,
                   printable(text_of(warning, "message")), ""});
  }
  return out;
}

Json findings_json(const std::vector<Finding>& findings) {
  Json out = Json::array();
  for (const Finding& one : findings)
    out.push_back({{"level", one.level == Level::broken ? "broken" : "warning"},
                   {"code", one.code},
                   {"role", one.role},
                   {"message", one.message},
                   {"command", one.command}});
  return out;
}

Json patient_json(const Patient& patient, const std::vector<Finding>& findings) {
  Json roles = Json::array(), online = Json::array();
  for (const RoleState& role : patient.roles) {
    const std::vector<std::string> mine = my_files(role, patient.mine);
    const std::string expires = role.expires ? format_time(*role.expires) : "";
    roles.push_back({{"role", role.role},
                     {"version", role.version},
                     {"expires", expires},
                     {"threshold", role.threshold},
                     {"keyids", role.keyids},
                     {"my_keys", mine},
                     {"i_can_sign_alone", static_cast<int>(mine.size()) >= role.threshold}});
  }
  for (const OnlineState& one : patient.online) {
    const std::string made = one.made ? format_time(*one.made) : "";
    online.push_back({{"role", one.role}, {"keyid", one.keyid}, {"made", made}, {"next_waits", one.next_waits}});
  }
  return {{"roles", roles}, {"online", online}, {"findings", findings_json(findings)}};
}

std::string keys_cell(const RoleState& role, const std::vector<MyKey>& mine) {
  std::string out;
  for (const std::string& id : role.keyids) {
    const auto found = std::find_if(mine.begin(), mine.end(), [&](const MyKey& key) { return key.keyid == id; });
    out += (out.empty() ? "" : ", ") + short_keyid(id) + (found == mine.end() ? "" : " (" + found->file + ")");
  }
  return out;
}

std::string render_roles(const Patient& patient, const Context& context) {
  Table table({{"ROLE"}, {"NEEDS"}, {"YOU HAVE", Align::right}, {"EXPIRES"}, {"KEYS", Align::left, true}});
  for (const RoleState& role : patient.roles)
    table.add({role.role, fmt::format("{} of {}", role.threshold, role.keyids.size()),
               std::to_string(my_files(role, patient.mine).size()),
               role.expires ? relative_time(*role.expires, patient.now) : std::string("nothing signed yet"),
               keys_cell(role, patient.mine)});
  for (const OnlineState& one : patient.online)
    table.add({one.role, "server", "", one.made ? "key made " + relative_time(*one.made, patient.now) : std::string(),
               short_keyid(one.keyid)});
  return table.render(context.out_style(), context.out_width());
}

std::string render_findings(const std::vector<Finding>& findings, const Style& style) {
  if (findings.empty()) return "\nnothing to do\n";
  std::string out;
  for (const Finding& one : findings) {
    const bool broken = one.level == Level::broken;
    out += fmt::format("\n{} {}\n", style(broken ? Colour::red : Colour::yellow, broken ? "broken:" : "warning:"),
                       one.message);
    if (!one.command.empty()) out += fmt::format("  run: {}\n", one.command);
  }
  return out;
}

int exit_status(const std::vector<Finding>& findings) {
  if (findings.empty()) return kOk;
  return findings.front().level == Level::broken ? kExpired : kAttention;
}

Result<int> doctor(const DoctorOptions& options, Context& context) {
  std::optional<Api> api;
  Json trust = Json::object();
  if (options.from.empty()) {
    TRY_ASSIGN(Api opened, connect(context));
    api.emplace(std::move(opened));
    TRY_ASSIGN(trust, api->get("/trust"));
  }
  TRY_ASSIGN(Present present, api ? present_of_server(*api, context) : present_of_folder(options.from, context));
  Patient patient;
  patient.now = context.clock.wall();
  patient.warn = std::chrono::days(options.warn_days);
  TRY_ASSIGN(patient.mine, keys_in(options.keys));
  TRY_ASSIGN(patient.roles, people_roles(present));
  TRY_ASSIGN(patient.online, online_keys(present, trust));
  std::vector<Finding> findings = diagnose(patient);
  for (Finding& one : online_warnings(trust))
    findings.insert(one.level == Level::broken ? findings.begin() : findings.end(), std::move(one));
  context.show(patient_json(patient, findings),
               [&] { return render_roles(patient, context) + render_findings(findings, context.out_style()); });
  return exit_status(findings);
}

}  // namespace

void declare_trust_doctor(CommandSpec& trust, Context& context) {
  auto o = std::make_shared<DoctorOptions>();
  CommandSpec& c = trust.sub("doctor", "Explain the state of trust: who can sign what, what expires, what to do next");
  c.details =
      "Looks at roles, keys and thresholds, at which of them the keys of a folder or a token can sign, at expiry, at "
      "keys "
      "whose "
      "loss or theft nothing would make up for, and at the age of the server's own keys. The exit status is 0 when "
      "there is "
      "nothing to do, 11 for warnings, 12 when something has expired.";
  c.examples = {"drover trust doctor --keys ~/keys", "drover trust doctor --from stick --json"};
  c.option("--keys", "FOLDER", &o->keys,
           "the folder with your key files, or a pkcs11: URI; the present folder when absent")
      .folder();
  c.option("--warn-days", "N", &o->warn_days, "warn so many days before an expiry; 30 when absent")
      .between(1, kMaxTrustDays);
  c.option("--from", "DIR", &o->from,
           "without the server: the present metadata, as `drover trust fetch --all` wrote it")
      .folder();
  c.action = [o, &context] { return doctor(*o, context); };
}

}  // namespace drover::cli
