#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "common/crypto/key_file.h"
#include "common/crypto/pkcs11_impl.h"
#include "common/crypto/secret.h"

namespace drover::crypto {
namespace {

constexpr std::string_view kProxy = "p11-kit-proxy.so";
constexpr std::size_t kMaxSlots = 64;        // looked at for tokens
constexpr std::size_t kMaxAttribute = 4096;  // bytes of one attribute: a label, an id, a point
constexpr std::size_t kMaxPin = 256;

struct Meaning {
  CK_RV value;
  std::string_view name;
  Code code;
  std::string_view sentence;
};

constexpr Meaning kMeanings[] = {
    {CKR_HOST_MEMORY, "CKR_HOST_MEMORY", Code::unavailable, "the module is out of memory"},
    {CKR_GENERAL_ERROR, "CKR_GENERAL_ERROR", Code::unavailable, "the module cannot go on; look at its own log"},
    {CKR_FUNCTION_FAILED, "CKR_FUNCTION_FAILED", Code::unavailable, "the token could not do it; look at its own log"},
    {CKR_ATTRIBUTE_VALUE_INVALID, "CKR_ATTRIBUTE_VALUE_INVALID", Code::unsupported, "the token does not know this"},
    {CKR_DEVICE_ERROR, "CKR_DEVICE_ERROR", Code::unavailable, "the token has a fault"},
    {CKR_DEVICE_MEMORY, "CKR_DEVICE_MEMORY", Code::disk_full, "the token is full"},
    {CKR_DEVICE_REMOVED, "CKR_DEVICE_REMOVED", Code::unavailable, "the token was taken out"},
    {CKR_FUNCTION_NOT_SUPPORTED, "CKR_FUNCTION_NOT_SUPPORTED", Code::unsupported, "the token cannot do this"},
    {CKR_KEY_FUNCTION_NOT_PERMITTED, "CKR_KEY_FUNCTION_NOT_PERMITTED", Code::permission_denied,
     "the key is not marked for signing"},
    {CKR_MECHANISM_INVALID, "CKR_MECHANISM_INVALID", Code::unsupported, "the token does not know this kind of key"},
    {CKR_PIN_INCORRECT, "CKR_PIN_INCORRECT", Code::permission_denied, "the PIN is wrong"},
    {CKR_PIN_INVALID, "CKR_PIN_INVALID", Code::permission_denied, "the PIN has characters that no PIN has"},
    {CKR_PIN_LEN_RANGE, "CKR_PIN_LEN_RANGE", Code::permission_denied, "the PIN is too short or too long for a PIN"},
    {CKR_PIN_EXPIRED, "CKR_PIN_EXPIRED", Code::permission_denied, "the PIN has expired; set a new one"},
    {CKR_PIN_LOCKED, "CKR_PIN_LOCKED", Code::permission_denied,
     "the PIN is locked after too many wrong ones; the token's security officer sets a new one"},
    {CKR_SESSION_CLOSED, "CKR_SESSION_CLOSED", Code::unavailable, "the token closed the session"},
    {CKR_SESSION_COUNT, "CKR_SESSION_COUNT", Code::unavailable, "the token has no session left; close other programs"},
    {CKR_SESSION_HANDLE_INVALID, "CKR_SESSION_HANDLE_INVALID", Code::unavailable, "the session is gone"},
    {CKR_TOKEN_NOT_PRESENT, "CKR_TOKEN_NOT_PRESENT", Code::unavailable, "the token is not there; put it in"},
    {CKR_TOKEN_NOT_RECOGNIZED, "CKR_TOKEN_NOT_RECOGNIZED", Code::unavailable, "the token is not one of this module"},
    {CKR_TOKEN_WRITE_PROTECTED, "CKR_TOKEN_WRITE_PROTECTED", Code::permission_denied, "the token is write-protected"},
    {CKR_USER_NOT_LOGGED_IN, "CKR_USER_NOT_LOGGED_IN", Code::permission_denied, "the token wants a PIN first"},
    {CKR_USER_PIN_NOT_INITIALIZED, "CKR_USER_PIN_NOT_INITIALIZED", Code::permission_denied,
     "the token has no user PIN yet; its security officer sets one"},
    {CKR_USER_ANOTHER_ALREADY_LOGGED_IN, "CKR_USER_ANOTHER_ALREADY_LOGGED_IN", Code::permission_denied,
     "somebody else is logged in"},
    {CKR_DOMAIN_PARAMS_INVALID, "CKR_DOMAIN_PARAMS_INVALID", Code::unsupported, "the token does not know the curve"},
    {CKR_CURVE_NOT_SUPPORTED, "CKR_CURVE_NOT_SUPPORTED", Code::unsupported, "the token does not know the curve"},
};

// PKCS#11's texts are padded with blanks.
template <std::size_t n>
std::string padded(const unsigned char (&text)[n]) {
  std::string_view view(reinterpret_cast<const char*>(text), n);
  view = view.substr(0, view.find('\0'));
  return std::string(view.substr(0, view.find_last_not_of(' ') + 1));
}

bool matches(const std::optional<std::string>& wanted, const std::string& is) { return !wanted || *wanted == is; }

bool matches(const Pkcs11Uri& uri, const Token& token) {
  return matches(uri.token, token.label) && matches(uri.manufacturer, token.manufacturer) &&
         matches(uri.model, token.model) && matches(uri.serial, token.serial) && (!uri.slot || *uri.slot == token.slot);
}

Result<std::vector<Token>> all_tokens(const std::shared_ptr<Module>& module) {
  CK_SLOT_ID slots[kMaxSlots];
  CK_ULONG count = kMaxSlots;
  const CK_RV value = module->call().C_GetSlotList(CK_TRUE, slots, &count);
  if (value != CKR_OK) return token_error(value, "listing tokens");
  std::vector<Token> tokens;
  for (CK_ULONG i = 0; i < std::min<CK_ULONG>(count, kMaxSlots); ++i) {
    CK_TOKEN_INFO info{};
    // One that is being taken out just now, or is not initialised, is not there.
    if (module->call().C_GetTokenInfo(slots[i], &info) != CKR_OK || (info.flags & CKF_TOKEN_INITIALIZED) == 0) continue;
    tokens.push_back({module, slots[i], padded(info.label), padded(info.manufacturerID), padded(info.model),
                      padded(info.serialNumber), info.flags});
  }
  return tokens;
}

std::string labels(const std::vector<Token>& tokens) {
  std::string text;
  for (const Token& token : tokens)
    text += (text.empty() ? "" : ", ") + ("\"" + token.label + "\" (serial " + token.serial + ")");
  return text.empty() ? "none" : text;
}

CK_FLAGS present_flags(const Token& token) {
  CK_TOKEN_INFO info{};
  return token.module->call().C_GetTokenInfo(token.slot, &info) == CKR_OK ? info.flags : token.flags;
}

Result<Pin> find_pin(const Token& token, const Pkcs11Uri& uri, const AskPin& ask, bool last_try) {
  const bool unattended = !uri.pin_value.empty() || !uri.pin_source.empty();
  if (unattended && last_try)
    return Error(Code::permission_denied,
                 "one more wrong PIN locks the token, so a stored one is not tried; log in by hand once (any PKCS#11 "
                 "tool will do), then start again");
  if (!uri.pin_value.empty()) return Pin(uri.pin_value);
  if (!uri.pin_source.empty()) {
    TRY_ASSIGN(std::string text, read_secret_file(uri.pin_source, "a PIN").within("pin-source"));
    text.erase(std::min(text.size(), text.find_first_of("\r\n")));
    if (text.empty() || text.size() > kMaxPin)
      return Error(Code::permission_denied, uri.pin_source + ": its first line is no PIN");
    return Pin(std::move(text));
  }
  if (!ask)
    return Error(Code::permission_denied,
                 "the token wants a PIN; name a file that holds it: pin-source=file:/path in the URI");
  TRY_ASSIGN(std::string text, ask({token.label, last_try}));
  return Pin(std::move(text));
}

Error login_error(CK_RV value, const Token& token) {
  Error error = token_error(value, "token \"" + token.label + "\"");
  if (value != CKR_PIN_INCORRECT && value != CKR_PIN_LEN_RANGE) return error;
  const CK_FLAGS flags = present_flags(token);
  const std::string_view left = (flags & CKF_USER_PIN_LOCKED) != 0      ? "; it is locked now"
                                : (flags & CKF_USER_PIN_FINAL_TRY) != 0 ? "; one try is left before it locks"
                                : (flags & CKF_USER_PIN_COUNT_LOW) != 0 ? "; few tries are left before it locks"
                                                                        : "";
  return {error.code(), error.message() + std::string(left)};
}

}  // namespace

Error token_error(CK_RV value, std::string_view doing) {
  const auto* found =
      std::find_if(std::begin(kMeanings), std::end(kMeanings), [&](const Meaning& one) { return one.value == value; });
  if (found != std::end(kMeanings))
    return Error(found->code, std::string(found->sentence) + " (" + std::string(found->name) + ")").within(doing);
  constexpr std::uint8_t digits[] = {24, 16, 8, 0};
  Bytes number;
  for (const std::uint8_t shift : digits) number.push_back(static_cast<std::uint8_t>(value >> shift));
  return Error(Code::unavailable, "the token says 0x" + to_hex(number)).within(doing);
}

bool is_gone(CK_RV value) {
  return value == CKR_SESSION_HANDLE_INVALID || value == CKR_SESSION_CLOSED || value == CKR_DEVICE_REMOVED ||
         value == CKR_TOKEN_NOT_PRESENT || value == CKR_USER_NOT_LOGGED_IN || value == CKR_KEY_HANDLE_INVALID ||
         value == CKR_OBJECT_HANDLE_INVALID;
}

Result<std::shared_ptr<Module>> Module::load(const std::string& path) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<Module>> loaded;
  const std::lock_guard lock(mutex);
  if (auto module = loaded[path].lock()) return module;
  const std::string file = path.empty() ? std::string(kProxy) : path;
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = ::dlerror();
    return Error(Code::not_found, "no PKCS#11 module: " + std::string(why == nullptr ? file : why) +
                                      (path.empty() ? "; install p11-kit, or name the module in the URI: "
                                                      "?module-path=/path/of/the/module.so"
                                                    : ""));
  }
  const auto list = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
  if (list == nullptr) return Error(Code::unsupported, file + " is no PKCS#11 module");
  std::shared_ptr<Module> module(new Module);
  if (list(&module->functions_) != CKR_OK || module->functions_ == nullptr)
    return Error(Code::unsupported, file + " gives no functions");
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  const CK_RV value = module->call().C_Initialize(&arguments);
  if (value != CKR_OK && value != CKR_CRYPTOKI_ALREADY_INITIALIZED) return token_error(value, "starting " + file);
  module->ours_ = value == CKR_OK;
  loaded[path] = module;
  return module;
}

Module::~Module() {
  if (ours_) functions_->C_Finalize(nullptr);
}

Result<Token> find_token(const Pkcs11Uri& uri) {
  TRY_ASSIGN(const std::shared_ptr<Module> module, Module::load(uri.module_path));
  TRY_ASSIGN(const std::vector<Token> tokens, all_tokens(module));
  std::vector<Token> found;
  std::copy_if(tokens.begin(), tokens.end(), std::back_inserter(found),
               [&](const Token& token) { return matches(uri, token); });
  if (found.empty()) return Error(Code::not_found, "no token fits " + to_text(uri) + "; there are: " + labels(tokens));
  if (found.size() > 1)
    return Error(Code::invalid_argument,
                 "several tokens fit " + to_text(uri) + ": " + labels(found) + "; add token= or serial=");
  return std::move(found.front());
}

Result<Session> Session::open(const Token& token, bool writes) {
  CK_SESSION_HANDLE handle = 0;
  const CK_FLAGS flags = CKF_SERIAL_SESSION | (writes ? CKF_RW_SESSION : 0);
  const CK_RV value = token.module->call().C_OpenSession(token.slot, flags, nullptr, nullptr, &handle);
  if (value != CKR_OK) return token_error(value, "token \"" + token.label + "\"");
  return Session(token.module, handle);
}

Session::~Session() { close(); }

Session::Session(Session&& other) noexcept : module_(std::move(other.module_)), handle_(other.handle_) {}

Session& Session::operator=(Session&& other) noexcept {
  if (this == &other) return *this;
  close();
  module_ = std::move(other.module_);
  handle_ = other.handle_;
  return *this;
}

void Session::close() {
  if (module_) call().C_CloseSession(handle_);
  module_.reset();
}

bool Session::logged_in() const {
  CK_SESSION_INFO info{};
  return call().C_GetSessionInfo(handle_, &info) == CKR_OK &&
         (info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS);
}

Result<std::vector<CK_OBJECT_HANDLE>> Session::find(CK_OBJECT_CLASS kind, const Pkcs11Uri& uri) const {
  std::string label = uri.object.value_or("");
  Bytes id = uri.id.value_or(Bytes());
  std::vector<CK_ATTRIBUTE> wanted = {{CKA_CLASS, &kind, sizeof kind}};
  if (uri.object) wanted.push_back({CKA_LABEL, label.data(), label.size()});
  if (uri.id) wanted.push_back({CKA_ID, id.data(), id.size()});
  CK_RV value = call().C_FindObjectsInit(handle_, wanted.data(), wanted.size());
  if (value != CKR_OK) return token_error(value, "looking for keys");
  std::vector<CK_OBJECT_HANDLE> found(kMaxTokenKeys + 1);
  CK_ULONG total = 0;
  while (total < found.size()) {  // a module may give fewer than were asked for; none is the end
    CK_ULONG count = 0;
    value = call().C_FindObjects(handle_, found.data() + total, found.size() - total, &count);
    if (value != CKR_OK || count == 0) break;
    total += count;
  }
  call().C_FindObjectsFinal(handle_);
  if (value != CKR_OK) return token_error(value, "looking for keys");
  if (total > kMaxTokenKeys)
    return Error(Code::too_large, "the token holds more than " + std::to_string(kMaxTokenKeys) +
                                      " keys that match; add object= or id= to the URI");
  found.resize(total);
  return found;
}

std::optional<Bytes> Session::bytes(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) const {
  CK_ATTRIBUTE attribute{type, nullptr, 0};
  if (call().C_GetAttributeValue(handle_, object, &attribute, 1) != CKR_OK) return {};
  if (attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION || attribute.ulValueLen > kMaxAttribute) return {};
  Bytes out(attribute.ulValueLen);
  attribute.pValue = out.data();
  if (out.empty()) return out;
  if (call().C_GetAttributeValue(handle_, object, &attribute, 1) != CKR_OK) return {};
  if (attribute.ulValueLen > out.size()) return {};
  out.resize(attribute.ulValueLen);
  return out;
}

std::optional<CK_ULONG> Session::number(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) const {
  CK_ULONG value = 0;
  CK_ATTRIBUTE attribute{type, &value, sizeof value};
  if (call().C_GetAttributeValue(handle_, object, &attribute, 1) != CKR_OK || attribute.ulValueLen != sizeof value)
    return {};
  return value;
}

bool Session::truth(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) const {
  const auto value = bytes(object, type);
  return value && value->size() == 1 && value->front() != CK_FALSE;
}

std::string Session::label(CK_OBJECT_HANDLE object) const {
  const auto text = bytes(object, CKA_LABEL);
  return text ? std::string(as_text(*text)) : std::string();
}

Pin::~Pin() { wipe(text_); }

Pin& Pin::operator=(Pin&& other) noexcept {
  if (this == &other) return *this;
  wipe(text_);
  text_ = std::exchange(other.text_, {});
  return *this;
}

Result<Pin> log_in(const Session& session, const Token& token, const Pkcs11Uri& uri, const AskPin& ask) {
  const CK_FLAGS flags = present_flags(token);
  if ((flags & CKF_LOGIN_REQUIRED) == 0 || session.logged_in()) return Pin();
  if ((flags & CKF_USER_PIN_LOCKED) != 0) return login_error(CKR_PIN_LOCKED, token);
  if ((flags & CKF_USER_PIN_INITIALIZED) == 0) return login_error(CKR_USER_PIN_NOT_INITIALIZED, token);
  Pin pin;
  if ((flags & CKF_PROTECTED_AUTHENTICATION_PATH) == 0) {
    TRY_ASSIGN(
        pin, find_pin(token, uri, ask, (flags & CKF_USER_PIN_FINAL_TRY) != 0).within("token \"" + token.label + "\""));
  }
  std::string text = pin.text();
  auto* bytes = text.empty() ? nullptr : reinterpret_cast<CK_UTF8CHAR*>(text.data());
  const CK_RV value = session.call().C_Login(session.handle(), CKU_USER, bytes, text.size());
  wipe(text);
  if (value != CKR_OK && value != CKR_USER_ALREADY_LOGGED_IN) return login_error(value, token);
  return pin;
}

Status log_in_for_key(const Session& session, const Pin& pin) {
  std::string text = pin.text();
  auto* bytes = text.empty() ? nullptr : reinterpret_cast<CK_UTF8CHAR*>(text.data());
  const CK_RV value = session.call().C_Login(session.handle(), CKU_CONTEXT_SPECIFIC, bytes, text.size());
  wipe(text);
  if (value != CKR_OK) return token_error(value, "the key asks for its PIN at each signature");
  return {};
}

Status check_mechanism(const Token& token, CK_MECHANISM_TYPE mechanism, CK_FLAGS use, std::string_view what) {
  CK_MECHANISM_INFO info{};
  const CK_RV value = token.module->call().C_GetMechanismInfo(token.slot, mechanism, &info);
  if (value == CKR_OK && (info.flags & use) != 0) return {};
  return Error(Code::unsupported, "token \"" + token.label + "\" cannot do this: " + std::string(what));
}

}  // namespace drover::crypto
