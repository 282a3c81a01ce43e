// Internal to this folder: PKCS#11's C interface with owners. A Module is loaded and initialised once in a process;
// a Session ends with its object.
#pragma once

#include <p11-kit/pkcs11.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/crypto/pkcs11.h"

namespace drover::crypto {

// What a return value means for the caller, with the standard's name of it.
Error token_error(CK_RV value, std::string_view doing);
// The session or the token behind it has gone: worth opening anew, once.
bool is_gone(CK_RV value);

class Module {
 public:
  // Empty: p11-kit's proxy. The library stays loaded until the process ends, since many do not survive an unloading;
  // it is finalised when its last user goes.
  static Result<std::shared_ptr<Module>> load(const std::string& path);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  const CK_FUNCTION_LIST& call() const { return *functions_; }

 private:
  Module() = default;
  CK_FUNCTION_LIST* functions_ = nullptr;
  bool ours_ = false;  // to be finalised: nobody else had initialised it
};

struct Token {
  std::shared_ptr<Module> module;
  CK_SLOT_ID slot = 0;
  std::string label, manufacturer, model, serial;
  CK_FLAGS flags = 0;
};

// The one token that matches. not_found and invalid_argument name the tokens that are there.
Result<Token> find_token(const Pkcs11Uri& uri);

class Session {
 public:
  static Result<Session> open(const Token& token, bool writes);
  ~Session();
  Session(Session&& other) noexcept;
  Session& operator=(Session&& other) noexcept;

  const CK_FUNCTION_LIST& call() const { return module_->call(); }
  CK_SESSION_HANDLE handle() const { return handle_; }

  bool logged_in() const;
  // At most kMaxTokenKeys; more: too_large.
  Result<std::vector<CK_OBJECT_HANDLE>> find(CK_OBJECT_CLASS kind, const Pkcs11Uri& uri) const;
  // Empty when the object does not have it, or does not show it.
  std::optional<Bytes> bytes(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) const;
  std::optional<CK_ULONG> number(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) const;
  bool truth(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) const;
  std::string label(CK_OBJECT_HANDLE object) const;

 private:
  Session(std::shared_ptr<Module> module, CK_SESSION_HANDLE handle) : module_(std::move(module)), handle_(handle) {}
  void close();

  std::shared_ptr<Module> module_;
  CK_SESSION_HANDLE handle_ = 0;
};

// A PIN in memory, wiped with its object.
class Pin {
 public:
  Pin() = default;
  explicit Pin(std::string text) : text_(std::move(text)) {}
  ~Pin();
  Pin(Pin&& other) noexcept : text_(std::exchange(other.text_, {})) {}
  Pin& operator=(Pin&& other) noexcept;

  bool empty() const { return text_.empty(); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// As the user, unless the session's token is logged in already. Gives the PIN that was used; empty when none was.
Result<Pin> log_in(const Session& session, const Token& token, const Pkcs11Uri& uri, const AskPin& ask);
// Once more for one signature of a key that asks for it each time.
Status log_in_for_key(const Session& session, const Pin& pin);

// The public half that an object shows; empty for a kind of key that is not known here.
std::optional<PublicHalf> read_half(const Session& session, CK_OBJECT_HANDLE object);
// Its kind alone, which private keys show too.
std::optional<Scheme> read_scheme(const Session& session, CK_OBJECT_HANDLE object);

// unsupported when the token does not sign with it.
Status check_mechanism(const Token& token, CK_MECHANISM_TYPE mechanism, CK_FLAGS use, std::string_view what);

}  // namespace drover::crypto
