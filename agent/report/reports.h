// The signed report of a check-in.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/crypto/signer.h"
#include "proto/wire/device.h"

namespace drover::agent {

// Signed with the device's key over kReportContext and the payload. Errors: those of the key.
Result<wire::SignedReport> sign_report(const wire::Report& report, crypto::Signer& key);

// What is installed as one text: when it is the one that the server acknowledged last, it need not be told again.
std::string installed_text(const std::vector<wire::Installed>& installed);

}  // namespace drover::agent
