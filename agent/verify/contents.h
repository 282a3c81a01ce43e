// From the digest that is signed down to the files of a package, each named by the one above: release index, package
// manifest, policy. And the last look before anything is installed: every byte read again from the disk.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <vector>

#include "agent/fetch/fetcher.h"
#include "agent/store/layout.h"
#include "agent/update/lifecycle.h"
#include "common/base/result.h"
#include "common/fs/files.h"
#include "common/package/manifest.h"
#include "common/package/policy.h"

namespace drover::agent {

struct Contents {
  package::Manifest manifest;
  package::PackagePolicy policy;
};

class ContentsReader {
 public:
  // All must outlive the object.
  ContentsReader(fs::Files& files, Layout layout, Fetcher& fetcher, std::string kind)
      : files_(files), layout_(std::move(layout)), fetcher_(fetcher), kind_(std::move(kind)) {}

  // Fetches what is not here. target_mismatch when the index's variant for this kind of device is not the one that is
  // assigned; wrong_kind when it has none; errors of Fetcher::document and of parsing.
  boost::asio::awaitable<Result<Contents>> fetch(update::Target target);
  // From the disk only.
  Result<Contents> read(const std::string& package);
  // Every file of the package, from the disk: digest_mismatch and size_mismatch remove the blob, so that it is fetched
  // again; not_found when one is missing.
  boost::asio::awaitable<Status> verify(package::Manifest manifest, std::function<bool()> stop);

 private:
  fs::Files& files_;
  Layout layout_;
  Fetcher& fetcher_;
  std::string kind_;
};

}  // namespace drover::agent
