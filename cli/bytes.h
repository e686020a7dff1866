// bytes.h - keys and values are any bytes; what people and JSON can show of them.
//
// JSON knows text only. Bytes that are UTF-8 are a JSON string, others {"base64": "..."}: nothing
// is lost, and no text can be mistaken for the other form. Whoever looks into a Json includes
// <nlohmann/json.hpp> as well: it takes seconds to compile.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace kvs::cli {

using Json = nlohmann::ordered_json;

bool is_utf8(std::string_view bytes) noexcept;

std::string to_base64(std::string_view bytes);
// nullopt: not base64 (RFC 4648, with padding).
std::optional<std::string> from_base64(std::string_view text);

Json to_json(std::string_view bytes);
// nullopt: neither of the two forms.
std::optional<std::string> from_json(const Json& json);

// One line; what is not UTF-8 in it (there should be nothing) is replaced.
std::string to_line(const Json& json);

// In double quotes, with everything escaped that a terminal would not show; as redis-cli does.
// Control characters and bytes that are no UTF-8 are \xHH.
std::string in_quotes(std::string_view bytes);

}  // namespace kvs::cli
