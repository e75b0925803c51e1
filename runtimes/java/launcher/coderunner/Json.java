package coderunner;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads the agent's JSON: objects as maps, arrays as lists, strings, booleans and null; it sends no numbers. */
final class Json {
  private final String text;
  private int at;

  private Json(String text) {
    this.text = text;
  }

  /** @throws IllegalArgumentException where it is not of this form */
  static Object parse(String text) {
    Json json = new Json(text);
    Object value = json.value();
    if (json.next() != '\0') throw json.unexpected();
    return value;
  }

  private Object value() {
    return switch (next()) {
      case '{' -> object();
      case '[' -> array();
      case '"' -> string();
      case 'n' -> word("null", null);
      case 't' -> word("true", true);
      case 'f' -> word("false", false);
      default -> throw unexpected();
    };
  }

  private Map<String, Object> object() {
    Map<String, Object> members = new LinkedHashMap<>();
    expect('{');
    if (took('}')) return members;
    do {
      String name = string();
      expect(':');
      members.put(name, value());
    } while (took(','));
    expect('}');
    return members;
  }

  private List<Object> array() {
    List<Object> items = new ArrayList<>();
    expect('[');
    if (took(']')) return items;
    do items.add(value());
    while (took(','));
    expect(']');
    return items;
  }

  private String string() {
    expect('"');
    StringBuilder value = new StringBuilder();
    while (at < text.length() && text.charAt(at) != '"') {
      char c = text.charAt(at++);
      value.append(c == '\\' ? escape() : c);
    }
    expect('"');
    return value.toString();
  }

  private char escape() {
    char c = at < text.length() ? text.charAt(at++) : '\0';
    return switch (c) {
      case '"', '\\', '/' -> c;
      case 'b' -> '\b';
      case 'f' -> '\f';
      case 'n' -> '\n';
      case 'r' -> '\r';
      case 't' -> '\t';
      case 'u' -> {
        if (at + 4 > text.length()) throw unexpected();
        at += 4;
        yield (char) Integer.parseInt(text, at - 4, at, 16);
      }
      default -> throw unexpected();
    };
  }

  private Object word(String word, Object value) {
    if (!text.startsWith(word, at)) throw unexpected();
    at += word.length();
    return value;
  }

  /** The next character that is not white space, which stays to be read; NUL at the end. */
  private char next() {
    while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
    return at < text.length() ? text.charAt(at) : '\0';
  }

  private boolean took(char wanted) {
    if (next() != wanted) return false;
    at++;
    return true;
  }

  private void expect(char wanted) {
    if (!took(wanted)) throw unexpected();
  }

  private IllegalArgumentException unexpected() {
    return new IllegalArgumentException("not the agent's JSON at " + at);
  }
}
