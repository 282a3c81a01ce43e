// Texts made from the command tree: manual pages (roff), the reference (Markdown) and completion scripts. Pure.
#pragma once

#include <string>
#include <vector>

#include "server/cli/command.h"

namespace drover::cli {

struct Page {
  std::string name;  // "drover-release-build.1" or "release.md"
  std::string text;
};

// One page for the tool (with exit statuses and files) and one for each command.
std::vector<Page> manual_pages(const CommandSpec& root, std::string_view version);
// One page for each command group, and index.md.
std::vector<Page> reference_pages(const CommandSpec& root);

std::string bash_completion(const CommandSpec& root);
std::string zsh_completion(const CommandSpec& root);

}  // namespace drover::cli
