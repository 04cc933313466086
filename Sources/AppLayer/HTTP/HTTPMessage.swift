/// One half of an exchange: its first line, fields and body.
struct HTTPMessage {
  var files: [FileRecord] = []
}
