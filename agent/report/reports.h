// The signed report of a check-in. Pure.
#pragma once

#include <string>
#include <vector>

#include "common/crypto/ed25519.h"
#include "proto/wire/device.h"

namespace drover::agent {

// Signed with the device's key over kReportContext and the payload.
wire::SignedReport sign_report(const wire::Report& report, const crypto::KeyPair& key);

// What is installed as one text: when it is the one that the server acknowledged last, it need not be told again.
std::string installed_text(const std::vector<wire::Installed>& installed);

}  // namespace drover::agent
