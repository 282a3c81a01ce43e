#include "server/api/idle_scan.h"

namespace drover::api {
namespace {

constexpr std::size_t kMaxIdleBody = 512;
constexpr int kMaxDigits = 18;

class Scan {
 public:
  explicit Scan(std::string_view text) : rest_(text) {}

  bool symbol(char wanted) {
    skip_space();
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // Text without escapes.
  bool text(std::string_view& out) {
    if (!symbol('"')) return false;
    const std::size_t end = rest_.find_first_of("\"\\");
    if (end == std::string_view::npos || rest_[end] == '\\') return false;
    out = rest_.substr(0, end);
    for (const char c : out)
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) return false;
    rest_.remove_prefix(end + 1);
    return true;
  }
  bool number(std::int64_t& out) {
    skip_space();
    int digits = 0;
    out = 0;
    if (rest_.size() > 1 && rest_[0] == '0' && rest_[1] >= '0' && rest_[1] <= '9') return false;  // no JSON number
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9' && digits < kMaxDigits) {
      out = out * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
      ++digits;
    }
    return digits > 0;
  }
  bool end() {
    skip_space();
    return rest_.empty();
  }

 private:
  void skip_space() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n' || rest_.front() == '\r' || rest_.front() == '\t'))
      rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

}  // namespace

std::optional<IdleCheckin> scan_idle_checkin(std::string_view body) {
  if (body.size() > kMaxIdleBody) return std::nullopt;
  Scan scan(body);
  IdleCheckin out;
  bool digest = false, version = false, nonce = false;
  bool more = scan.symbol('{');
  if (!more) return std::nullopt;
  while (more) {
    std::string_view name, ignored;
    if (!scan.text(name) || !scan.symbol(':')) return std::nullopt;
    if (name == "identity_digest" && !digest) digest = scan.text(out.identity_digest);
    else if (name == "assignment_version" && !version) version = scan.number(out.assignment_version);
    // An idle answer carries no assignment, so there is nothing that it would have to be echoed in.
    else if (name == "nonce" && !nonce) nonce = scan.text(ignored);
    else return std::nullopt;
    more = scan.symbol(',');
  }
  if (!digest || !version || !scan.symbol('}') || !scan.end()) return std::nullopt;
  return out;
}

}  // namespace drover::api
