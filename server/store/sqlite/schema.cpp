#include "server/store/sqlite/schema.h"

namespace drover::store::sqlite {
namespace {

// Times are seconds since 1970 (0: never), states the numbers of their enumerations. Only what PostgreSQL knows too.
constexpr std::string_view kFirst = R"sql(
CREATE TABLE control(
  one INTEGER PRIMARY KEY CHECK(one = 1),
  revision INTEGER NOT NULL);
INSERT INTO control VALUES(1, 1);

CREATE TABLE device(
  device_no INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  public_key BLOB NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  state INTEGER NOT NULL,
  enrolled_at INTEGER NOT NULL DEFAULT 0,
  last_seen INTEGER NOT NULL DEFAULT 0,
  identity_digest TEXT NOT NULL DEFAULT '',
  acked_seq INTEGER NOT NULL DEFAULT 0);
-- Within a stratum by id, which is a hash: its first rows are a random sample.
CREATE INDEX device_stratum ON device(kind, state, id);
CREATE TABLE kind(
  kind TEXT NOT NULL,
  state INTEGER NOT NULL,
  devices INTEGER NOT NULL,
  PRIMARY KEY(kind, state));
CREATE TABLE device_attribute(
  device_no INTEGER NOT NULL REFERENCES device(device_no) ON DELETE CASCADE,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  num REAL,
  semver TEXT,
  PRIMARY KEY(device_no, key)) WITHOUT ROWID;
CREATE TABLE device_tag(
  device_no INTEGER NOT NULL REFERENCES device(device_no) ON DELETE CASCADE,
  tag TEXT NOT NULL,
  PRIMARY KEY(device_no, tag)) WITHOUT ROWID;
CREATE INDEX device_tag_tag ON device_tag(tag, device_no);
CREATE TABLE installed(
  device_no INTEGER NOT NULL REFERENCES device(device_no) ON DELETE CASCADE,
  model TEXT NOT NULL,
  release TEXT NOT NULL,
  package TEXT NOT NULL,
  release_counter INTEGER NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY(device_no, model)) WITHOUT ROWID;
CREATE TABLE assignment(
  device_no INTEGER PRIMARY KEY REFERENCES device(device_no) ON DELETE CASCADE,
  version INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  content TEXT NOT NULL,
  document TEXT NOT NULL);

CREATE TABLE grp(
  name TEXT PRIMARY KEY,
  query TEXT,
  version INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL);
CREATE TABLE grp_member(
  grp TEXT NOT NULL REFERENCES grp(name) ON DELETE CASCADE,
  device_id TEXT NOT NULL,
  PRIMARY KEY(grp, device_id)) WITHOUT ROWID;

CREATE TABLE release(
  release_no INTEGER PRIMARY KEY,
  model TEXT NOT NULL,
  version TEXT NOT NULL,
  state INTEGER NOT NULL,
  index_digest TEXT NOT NULL,
  index_size INTEGER NOT NULL,
  release_counter INTEGER NOT NULL,
  published_at INTEGER NOT NULL,
  UNIQUE(model, version));
CREATE TABLE variant(
  release_no INTEGER NOT NULL REFERENCES release(release_no) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  architecture TEXT NOT NULL,
  precision TEXT NOT NULL,
  manifest TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY(release_no, kind)) WITHOUT ROWID;
CREATE TABLE metadata(
  role TEXT NOT NULL,
  version INTEGER NOT NULL,
  bytes TEXT NOT NULL,
  PRIMARY KEY(role, version));

CREATE TABLE rollout(
  rollout_no INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  model TEXT NOT NULL,
  release TEXT NOT NULL,
  grp TEXT NOT NULL,
  spec TEXT NOT NULL,
  salt TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  phase INTEGER NOT NULL,
  engine TEXT NOT NULL,
  thresholds TEXT NOT NULL,
  live INTEGER NOT NULL);
CREATE INDEX rollout_live ON rollout(live, model, rollout_no);
CREATE TABLE deployment(
  deployment_no INTEGER PRIMARY KEY,
  device_no INTEGER NOT NULL REFERENCES device(device_no) ON DELETE CASCADE,
  rollout_no INTEGER NOT NULL REFERENCES rollout(rollout_no) ON DELETE CASCADE,
  stage INTEGER NOT NULL,
  model TEXT NOT NULL,
  release TEXT NOT NULL,
  previous TEXT NOT NULL,
  standing INTEGER NOT NULL,
  activated INTEGER NOT NULL DEFAULT 0,
  return_ended INTEGER NOT NULL DEFAULT 0,
  step TEXT NOT NULL DEFAULT '',
  code INTEGER NOT NULL DEFAULT 0,
  detail TEXT NOT NULL DEFAULT '',
  bytes_fetched INTEGER NOT NULL DEFAULT 0,
  bytes_resumed INTEGER NOT NULL DEFAULT 0,
  offered_at INTEGER NOT NULL,
  offered_watched INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE(device_no, rollout_no));
CREATE INDEX deployment_sweep ON deployment(rollout_no, stage, standing, offered_watched);
CREATE TABLE event(
  device_no INTEGER NOT NULL REFERENCES device(device_no) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  deployment TEXT NOT NULL,
  model TEXT NOT NULL,
  release TEXT NOT NULL,
  step TEXT NOT NULL,
  outcome TEXT NOT NULL,
  code INTEGER NOT NULL,
  detail TEXT NOT NULL,
  evidence TEXT NOT NULL,
  PRIMARY KEY(device_no, seq)) WITHOUT ROWID;

CREATE TABLE token(
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  role INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires INTEGER NOT NULL);
CREATE TABLE enrolment_token(
  id TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  tags TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  uses_left INTEGER NOT NULL);
CREATE TABLE upload(
  id TEXT PRIMARY KEY,
  digest TEXT NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  stored INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL);
CREATE TABLE audit(
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  role TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  outcome TEXT NOT NULL,
  prev_hash TEXT NOT NULL,
  hash TEXT NOT NULL);
CREATE TABLE idempotency(
  actor TEXT NOT NULL,
  key TEXT NOT NULL,
  request TEXT NOT NULL,
  status INTEGER NOT NULL,
  headers TEXT NOT NULL,
  body TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY(actor, key)) WITHOUT ROWID;
CREATE INDEX idempotency_at ON idempotency(at);
)sql";

// What deltas saved.
constexpr std::string_view kSecond = "ALTER TABLE deployment ADD COLUMN bytes_saved INTEGER NOT NULL DEFAULT 0;";

// Confidential packages.
constexpr std::string_view kThird = R"sql(
ALTER TABLE variant ADD COLUMN encrypted INTEGER NOT NULL DEFAULT 0;
CREATE TABLE content_key(
  package TEXT PRIMARY KEY,
  wrapping_key TEXT NOT NULL,
  sealed TEXT NOT NULL,
  handed_by TEXT NOT NULL,
  handed_at INTEGER NOT NULL);
)sql";

// The same for whole rollouts, counted as deployments end.
constexpr std::string_view kSavings = R"sql(
ALTER TABLE rollout ADD COLUMN updates INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollout ADD COLUMN by_delta INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollout ADD COLUMN bytes_fetched INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollout ADD COLUMN bytes_saved INTEGER NOT NULL DEFAULT 0;
)sql";

// Reports that are counted; the last one of each device as it was signed.
constexpr std::string_view kReports = R"sql(
ALTER TABLE device ADD COLUMN report_counter INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN report_digest TEXT NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN report_conflicts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN conflict_at INTEGER NOT NULL DEFAULT 0;
CREATE TABLE last_report(
  device_no INTEGER PRIMARY KEY,
  payload TEXT NOT NULL,
  signature TEXT NOT NULL,
  at INTEGER NOT NULL);
)sql";

}  // namespace

const std::array<std::string_view, 5> kMigrations = {kFirst, kSecond, kThird, kSavings, kReports};

}  // namespace drover::store::sqlite
