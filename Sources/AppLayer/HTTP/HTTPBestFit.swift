/// Characters beyond Latin-1 reduced to one octet the way Windows does for code page 1252, which is
/// what IIS lets through to its handlers: `%uff0e` means a dot.
///
/// - Source: Microsoft's best-fit mapping of code page 1252 (bestfit1252.txt), ASCII results only.
enum HTTPBestFit {
  private static let replacement = UInt8(ascii: "?")

  /// The octet for a code point of the basic plane, `?` where nothing fits.
  static func octet(for code: UInt32) -> UInt8 {
    if code < 0x100 { return UInt8(truncatingIfNeeded: code) }
    // Full-width forms lie in the order of ASCII.
    if code >= 0xff01, code <= 0xff5e, code != 0xff1f { return UInt8(truncatingIfNeeded: code &- 0xfee0) }
    return table[code] ?? replacement
  }

  /// A stretch of consecutive code points; `.` stands for one without a fit.
  private static let stretches: [(first: UInt32, fits: String)] = [
    (0x100, "AaAaAaCcCcCcCcDd.dEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIi..JjKk.LlLlLl..LlNnNnNn...OoOoOo"),
    (0x154, "RrRrRrSsSsSs..TtTtTtUuUuUuUuUuUuWwYy.Z.Zz...b"),
    (0x197, "I..l....OOo.........t..TUu.....z"), (0x1c0, "|..!"),
    (0x1cd, "AaIiOoUuUuUuUuUu.Aa....GgGgKkOoOo..j"), (0x261, "g"), (0x2b9, "'\".'"),
    (0x2c4, "^...'..`._"), (0x300, "`.^~"), (0x30e, "\""), (0x331, "__"), (0x37e, ";"),
    (0x393, "G....T"), (0x3a3, "S..F..O"), (0x3b1, "a..de"), (0x3c0, "p..st.f"), (0x4bb, "h"),
    (0x589, ":"), (0x66a, "%"), (0x2000, "       "), (0x2010, "--.....="), (0x2032, "'..`"),
    (0x2044, "/"), (0x2074, "45678......n0123456789"), (0x20a7, "P"),
    (0x2102, "C....E..gHHHh.IILl.N..PPQRRR"),
    (0x2124, "Z...Z.K.BCeeEF.Mo"), (0x2212, "-..\u{2f}\\*..v...8"), (0x2223, "|.....n"),
    (0x2236, ":.....~"), (0x2261, "=..=="), (0x2303, "^"), (0x2320, "()"), (0x2329, "<>"),
    (0x2500, "-...........+...+...+...+...+...............-.......-.......+"),
    (0x2550, "-.++++++++++++......------+++"), (0x2584, "_"), (0x2758, "|"), (0x3000, " .......<>"),
    (0x301a, "[]"),
  ]

  private static let table: [UInt32: UInt8] = {
    var out: [UInt32: UInt8] = [:]
    for (first, fits) in stretches {
      for (i, octet) in fits.utf8.enumerated() where octet != UInt8(ascii: ".") {
        out[first &+ UInt32(i)] = octet
      }
    }
    return out
  }()

  /// UTF-8 with each character as one octet; overlong forms are read, what is no UTF-8 becomes `?`.
  static func reduceUTF8(_ bytes: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var i = 0
    while i < bytes.count {
      let lead = bytes[i]
      if lead < 0x80 {
        out.append(lead)
        i += 1
        continue
      }
      let length =
        lead >= 0xf0 && lead <= 0xf4
        ? 4 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xc0 && lead < 0xe0 ? 2 : 0
      guard length > 0 else {
        out.append(replacement)
        i += 1
        continue
      }
      var code = UInt32(lead) & (0x7f >> UInt32(length))
      var seen = 1
      while seen < length, i + seen < bytes.count, bytes[i + seen] & 0xc0 == 0x80 {
        code = code << 6 | UInt32(bytes[i + seen] & 0x3f)
        seen += 1
      }
      out.append(seen == length ? octet(for: code) : replacement)
      i += seen
    }
    return out
  }
}
