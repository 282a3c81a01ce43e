// audit list, verify.
#include <fmt/format.h>

#include "common/crypto/hash.h"
#include "proto/json/reader.h"
#include "proto/wire/audit.h"
#include "server/cli/api.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/profile.h"
#include "server/cli/table.h"

namespace drover::cli {
namespace {

constexpr std::int64_t kListed = 200;
constexpr std::int64_t kMaxListed = 1'000'000;
constexpr std::int64_t kPage = 500;
constexpr std::int64_t kMaxEntries = 100'000'000;  // some hours of reading: the end of a walk that would not end
constexpr std::size_t kMaxMark = 4096;

struct ListOptions {
  std::int64_t after = 0, limit = kListed;
};

// The last entry that a person has seen: what lies before it cannot be rewritten unnoticed.
struct Mark {
  std::int64_t seq = 0;
  std::string hash{wire::kAuditOrigin};
};

std::string sha256_hex(std::string_view bytes) { return crypto::sha256(bytes).hex(); }

Result<Json> page_after(Api& api, std::int64_t seq, std::int64_t limit) {
  return api.get(fmt::format("/audit?after={}&limit={}", seq, limit));
}

Result<int> list(const ListOptions& options, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  Json all = {{"items", Json::array()}};
  std::int64_t after = options.after;
  while (static_cast<std::int64_t>(all["items"].size()) < options.limit) {
    const std::int64_t wanted = std::min(kPage, options.limit - static_cast<std::int64_t>(all["items"].size()));
    TRY_ASSIGN(const Json page, page_after(api, after, wanted));
    if (items_of(page).empty()) break;
    for (const Json& entry : items_of(page)) all["items"].push_back(entry);
    const std::int64_t last = number_of(items_of(page).back(), "seq");
    if (last <= after) return Error(Code::malformed, "the server's audit log does not go forward");
    after = last;
  }
  context.show(all, [&] {
    Table table({{"SEQ", Align::right},
                 {"WHEN"},
                 {"WHO"},
                 {"ACTION"},
                 {"SUBJECT", Align::left, true},
                 {"OUTCOME"},
                 {"DETAIL", Align::left, true}});
    for (const Json& entry : items_of(all)) {
      const std::string outcome = text_of(entry, "outcome");
      table.add({std::to_string(number_of(entry, "seq")), relative_time(text_of(entry, "at"), context.clock.wall()),
                 text_of(entry, "actor"), text_of(entry, "action"), text_of(entry, "subject"),
                 Cell(outcome, outcome == "ok" ? Colour::none : Colour::red), text_of(entry, "detail")});
    }
    return table.render(context.out_style(), context.out_width());
  });
  return kOk;
}

std::filesystem::path mark_file(const Profile& profile) { return profile.folder / "audit-mark.json"; }

Result<Mark> read_mark(const Profile& profile) {
  const auto text = read_file(mark_file(profile), kMaxMark);
  if (!text && text.error().code() == Code::not_found) return Mark{};
  if (!text) return text.error();
  TRY_ASSIGN(const Json document, json::parse(*text, kMaxMark).within(mark_file(profile).string()));
  json::Reader in(document);
  Mark mark;
  const std::string url = in.text("url", kMaxMark);
  mark.seq = in.integer("seq", 0, INT64_MAX);
  mark.hash = in.text("hash", wire::kAuditOrigin.size());
  TRY(in.finish().within(mark_file(profile).string()));
  return url == profile.url ? mark : Mark{};
}

Status save_mark(const Profile& profile, const Mark& mark) {
  TRY(make_folder(profile.folder, 0700));
  return write_file(mark_file(profile),
                    Json({{"url", profile.url}, {"seq", mark.seq}, {"hash", mark.hash}}).dump() + "\n", 0600);
}

Result<std::vector<wire::AuditEntry>> entries_after(Api& api, std::int64_t seq) {
  TRY_ASSIGN(const Json page, page_after(api, seq, kPage));
  std::vector<wire::AuditEntry> entries;
  for (const Json& item : items_of(page)) {
    TRY_ASSIGN(wire::AuditEntry entry, wire::decode_audit_entry(item).within("the server's audit log"));
    entries.push_back(std::move(entry));
  }
  return entries;
}

Error broken(const wire::AuditBreak& fault) {
  return Error(Code::digest_mismatch, fmt::format("the audit log is broken at entry {}: {}; somebody has changed it. "
                                                  "Keep this profile and the server's database as evidence",
                                                  fault.seq, printable(fault.why)));
}

// An entry seen earlier must still be there with the hash that it had.
Status check_mark(const std::vector<wire::AuditEntry>& entries, const Mark& seen) {
  for (const wire::AuditEntry& entry : entries)
    if (entry.seq == seen.seq && entry.hash != seen.hash)
      return broken({entry.seq, "it is another entry than the one seen here before"});
  return {};
}

Result<Mark> walk(Api& api, const Mark& seen) {
  Mark at;
  while (at.seq < kMaxEntries) {
    TRY_ASSIGN(const auto entries, entries_after(api, at.seq));
    if (entries.empty()) break;
    if (const auto fault = wire::audit_first_break(entries, at.seq + 1, at.hash, sha256_hex)) return broken(*fault);
    TRY(check_mark(entries, seen));
    at = Mark{entries.back().seq, entries.back().hash};
  }
  if (at.seq < seen.seq)
    return broken({at.seq + 1, fmt::format("the log ends here, but {} entries were seen before", seen.seq)});
  return at;
}

Result<int> verify(Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Mark seen, read_mark(api.profile()));
  TRY_ASSIGN(const Mark end, walk(api, seen));
  TRY(save_mark(api.profile(), end));
  context.show({{"entries", end.seq}, {"hash", end.hash}, {"seen_before", seen.seq}}, [&] {
    return fmt::format(
        "{} hold together; the last one's hash is\n  {}\n{}",
        end.seq == 1 ? "1 entry" : fmt::format("{} entries", end.seq), end.hash,
        seen.seq > 0 ? fmt::format("and the {} that were seen here before are unchanged\n", seen.seq) : "");
  });
  return kOk;
}

}  // namespace

void add_audit_commands(CommandSpec& root, Context& context) {
  CommandSpec& audit = root.sub("audit", "Who did what: read the log, check that nobody changed it");
  auto o = std::make_shared<ListOptions>();
  CommandSpec& l = audit.sub("list", "List entries, oldest first");
  l.option("--after", "SEQ", &o->after, "only what came after this entry").between(0, INT64_MAX);
  l.option("--limit", "N", &o->limit, "at most so many; 200 when absent").between(1, kMaxListed);
  l.action = [o, &context] { return list(*o, context); };
  CommandSpec& v = audit.sub("verify", "Check the log's hash chain, here and not on the server");
  v.details =
      "Recomputes every entry's hash, and compares with the end of the log that was seen the last time from this "
      "profile.";
  v.action = [&context] { return verify(context); };
}

}  // namespace drover::cli
