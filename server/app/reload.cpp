#include "server/app/reload.h"

#include "common/obs/log.h"

namespace drover::server {

FileWatch::FileWatch(std::vector<std::string> files) : files_(std::move(files)) {
  std::erase(files_, std::string());
  told_ = seen_ = look();
}

std::vector<FileWatch::Mark> FileWatch::look() const {
  std::vector<Mark> marks;
  for (const std::string& file : files_) {
    std::error_code gone;  // in the middle of being replaced, perhaps: that is a state like others
    Mark mark;
    mark.written = std::filesystem::last_write_time(file, gone);
    mark.size = std::filesystem::file_size(file, gone);
    marks.push_back(mark);
  }
  return marks;
}

bool FileWatch::has_changed() {
  std::vector<Mark> now = look();
  const bool at_rest = now == seen_;
  seen_ = std::move(now);
  if (!at_rest || seen_ == told_) return false;
  told_ = seen_;
  return true;
}

void reload_certificate(net::HttpServer& http) {
  const Status status = http.reload_certificates();
  if (!status) return log::failure("the certificate was not loaded anew; the one before stays in use", status.error());
  log::info("the certificate was loaded anew", {{"expires", format_time(http.certificate_expires())}});
}

}  // namespace drover::server
