# Flatten JSON: one line "path<TAB>value" for each leaf, such as "networks.0.type<TAB>ipv4".
function space() { while (i <= n && index(" \t\r\n", substr(s, i, 1))) i++ }
function hex(h,   k, v) {
  v = 0; h = tolower(h)
  for (k = 1; k <= 4; k++) v = v * 16 + index("0123456789abcdef", substr(h, k, 1)) - 1
  return v
}
function string(   r, c, h) {
  i++; r = ""
  while (i <= n) {
    c = substr(s, i, 1)
    if (c == "\"") { i++; return r }
    if (c == "\\") {
      i++; c = substr(s, i, 1)
      if (c == "n") c = "\n"; else if (c == "t") c = "\t"; else if (c == "r") c = "\r"
      else if (c == "u") { h = substr(s, i + 1, 4); i += 4; c = sprintf("%c", hex(h)) }
    }
    r = r c; i++
  }
  return r
}
function value(path,   c, k, j, t) {
  space(); c = substr(s, i, 1)
  if (c == "{") {
    i++; space(); if (substr(s, i, 1) == "}") { i++; return }
    while (i <= n) { space(); k = string(); space(); i++; value(path "." k); space(); c = substr(s, i, 1); i++; if (c != ",") return }
  } else if (c == "[") {
    i++; space(); if (substr(s, i, 1) == "]") { i++; return }
    j = 0
    while (i <= n) { value(path "." j); j++; space(); c = substr(s, i, 1); i++; if (c != ",") return }
  } else if (c == "\"") {
    t = string(); gsub(/\n/, "\\n", t); print substr(path, 2) "\t" t
  } else {
    t = ""
    while (i <= n && !index(",]} \t\r\n", substr(s, i, 1))) { t = t substr(s, i, 1); i++ }
    print substr(path, 2) "\t" t
  }
}
{ s = s $0 "\n" }
END { n = length(s); i = 1; value("") }
