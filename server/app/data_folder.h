// The data folder: drover.db, keys/, blobs/, deltas/, tls/. Made once, opened at every start.
#pragma once

#include <filesystem>
#include <string>

#include "common/base/result.h"
#include "common/rng/rng.h"
#include "common/time/clock.h"
#include "server/api/api.h"

namespace drover::server {

struct DataFolder {
  std::filesystem::path folder;
  std::filesystem::path database() const { return folder / "drover.db"; }
  std::filesystem::path keys() const { return folder / "keys"; }
  std::filesystem::path wrapping_key() const { return keys() / "wrapping.key"; }
  std::filesystem::path blobs() const { return folder / "blobs"; }
  std::filesystem::path deltas() const { return folder / "deltas"; }  // made from blobs; may be deleted while stopped
  std::filesystem::path certificate() const { return folder / "tls" / "certificate.pem"; }
  std::filesystem::path certificate_key() const { return folder / "tls" / "key.pem"; }
};

// The folder and the session key; what is there stays.
Status prepare(const DataFolder& data, Rng& rng);
// To which content keys are sealed; one that is there stays.
Status make_wrapping_key(const std::filesystem::path& file, Rng& rng);
// Online keys that are not there yet are made.
Result<api::Keys> load_keys(const DataFolder& data, Rng& rng);

// Makes an admin's token, writes it to `file` (mode 0600) or, without one, gives it back to be shown once. It stands in
// the audit log as made on the server itself.
Result<std::string> admin_token(store::Store& store, const std::string& name, const std::string& file,
                                const Clock& clock, Rng& rng);
// The same when there is no token of any person yet. Empty: there are tokens already.
Result<std::string> first_admin_token(store::Store& store, const std::string& file, const Clock& clock, Rng& rng);

// A self-signed certificate (ECDSA P-256) for these names and addresses, and its key (0600). Never overwrites.
Status make_certificate(const std::filesystem::path& certificate, const std::filesystem::path& key,
                        const std::vector<std::string>& hosts, Rng& rng);

}  // namespace drover::server
