#include "server/store/control.h"

#include <algorithm>

#include "server/store/store.h"

namespace drover::store {
namespace {

Result<fleet::Group> parse_group(const GroupRow& row) {
  if (row.query) return fleet::Group::from_query(row.name, *row.query);
  return fleet::Group::from_list(row.name, row.devices);
}

Status load_groups(const Reader& reader, const Control* before, Control& out) {
  TRY_ASSIGN(const std::vector<GroupRow> rows, reader.groups.all());
  for (const GroupRow& row : rows) {
    if (before != nullptr)
      if (const auto old = before->groups.find(row.name); old != before->groups.end())
        if (old->second->version == row.version && old->second->created_at == row.created_at) {
          out.groups.emplace(row.name, old->second);
          continue;
        }
    TRY_ASSIGN(fleet::Group group, parse_group(row).within("group " + row.name));
    out.groups.emplace(row.name, std::make_shared<const GroupEntry>(
                                     GroupEntry{std::move(group), row.version, row.created_by, row.created_at}));
  }
  return {};
}

Status load_releases(const Reader& reader, Control& out) {
  TRY_ASSIGN(std::vector<ReleaseRow> rows, reader.releases.all());
  for (ReleaseRow& row : rows) {
    ReleaseEntry entry;
    entry.view.model = row.model;
    entry.view.version = row.version;
    entry.view.withdrawn = row.state == ReleaseState::withdrawn;
    for (const VariantRow& variant : row.variants) entry.view.kinds.push_back(variant.kind);
    std::sort(entry.view.kinds.begin(), entry.view.kinds.end());
    auto& releases = out.models[row.model];
    entry.row = std::move(row);
    releases.emplace(entry.row.version, std::move(entry));
  }
  return {};
}

Status load_rollouts(const Reader& reader, Control& out) {
  TRY_ASSIGN(std::vector<RolloutRow> rows, reader.rollouts.live());
  for (RolloutRow& row : rows) {
    RolloutEntry entry;
    entry.no = row.no;
    entry.id = std::move(row.id);
    entry.salt = std::move(row.salt);
    entry.thresholds = std::move(row.thresholds);
    if (const auto group = out.groups.find(row.spec.group); group != out.groups.end()) entry.group = group->second;
    entry.spec = std::move(row.spec);
    entry.created_at = row.created_at;
    entry.ticks = rollout::needs_ticks(row.state);
    out.rollouts.push_back(std::move(entry));
  }
  return {};
}

}  // namespace

const VariantRow* ReleaseEntry::variant(std::string_view kind) const {
  for (const VariantRow& one : row.variants)
    if (one.kind == kind) return &one;
  return nullptr;
}

const GroupEntry* Control::group(std::string_view name) const {
  const auto found = groups.find(name);
  return found == groups.end() ? nullptr : found->second.get();
}

const ReleaseEntry* Control::release(std::string_view model, std::string_view version) const {
  const auto releases = models.find(model);
  if (releases == models.end()) return nullptr;
  const auto found = releases->second.find(version);
  return found == releases->second.end() ? nullptr : &found->second;
}

Result<std::shared_ptr<const Control>> load_control(const Reader& reader, std::int64_t revision,
                                                    const Control* before) {
  auto out = std::make_shared<Control>();
  out->revision = revision;
  TRY(load_groups(reader, before, *out));
  TRY(load_releases(reader, *out));
  TRY(load_rollouts(reader, *out));
  TRY_ASSIGN(std::vector<TokenRow> tokens, reader.tokens.all());
  for (TokenRow& token : tokens) {
    std::string hash = token.hash;
    out->tokens.emplace(std::move(hash), std::move(token));
  }
  return std::shared_ptr<const Control>(std::move(out));
}

}  // namespace drover::store
