#include "agent/report/reports.h"

#include <nlohmann/json.hpp>

#include "common/base/bytes.h"

namespace drover::agent {

Result<wire::SignedReport> sign_report(const wire::Report& report, crypto::Signer& key) {
  wire::SignedReport out;
  out.payload = wire::encode(report).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  TRY_ASSIGN(const Bytes signature, key.sign(std::string(wire::kReportContext) + out.payload));
  out.signature = to_hex(signature);
  return out;
}

std::string installed_text(const std::vector<wire::Installed>& installed) {
  std::string text;
  for (const wire::Installed& item : installed)
    text += item.model + " " + item.release + " " + item.package + " " + std::to_string(item.release_counter) + "\n";
  return text;
}

}  // namespace drover::agent
