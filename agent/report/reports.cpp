#include "agent/report/reports.h"

#include <nlohmann/json.hpp>

#include "common/base/bytes.h"

namespace drover::agent {

wire::SignedReport sign_report(const wire::Report& report, const crypto::KeyPair& key) {
  wire::SignedReport out;
  out.payload = wire::encode(report).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  out.signature = to_hex(key.sign(std::string(wire::kReportContext) + out.payload));
  return out;
}

std::string installed_text(const std::vector<wire::Installed>& installed) {
  std::string text;
  for (const wire::Installed& item : installed)
    text += item.model + " " + item.release + " " + item.package + " " + std::to_string(item.release_counter) + "\n";
  return text;
}

}  // namespace drover::agent
