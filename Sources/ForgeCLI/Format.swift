import Glibc

/// Numbers as people read them.
enum Format {
    /// `2026-03-01 12:00:05` in UTC.
    static func date(_ seconds: Int64) -> String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) "
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }

    /// `87 %`.
    static func percent(_ share: Double) -> String { "\(fixed(share * 100, digits: 0)) %" }

    /// The text with spaces before it.
    static func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// The text with spaces after it.
    static func filled(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// `12.3 MB`: decimal units, three digits.
    static func bytes(_ count: Int64) -> String {
        let units = ["B", "kB", "MB", "GB", "TB"]
        var value = Double(count)
        var unit = 0
        while value >= 999.5, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        return unit == 0
            ? "\(count) B" : "\(fixed(value, digits: value < 9.95 ? 2 : value < 99.5 ? 1 : 0)) \(units[unit])"
    }

    /// `0.4 ms`, `12 ms`, `3.5 s`, `12 s`, `3 min 20 s`.
    static func seconds(_ seconds: Double) -> String {
        if seconds < 0.00995 { return "\(fixed(seconds * 1000, digits: 1)) ms" }
        if seconds < 0.9995 { return "\(fixed(seconds * 1000, digits: 0)) ms" }
        if seconds < 9.95 { return "\(fixed(seconds, digits: 1)) s" }
        let whole = Int(seconds.rounded())
        return whole < 100 ? "\(whole) s" : "\(whole / 60) min \(whole % 60) s"
    }

    static func fixed(_ value: Double, digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let number = Int64((value * scale).rounded())
        guard digits > 0 else { return String(number) }
        let text = String(number.magnitude)
        let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
        return (number < 0 ? "-" : "") + padded.dropLast(digits) + "." + padded.suffix(digits)
    }

    /// `1 package`, `2 packages`.
    static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

    /// A size as options take it: `512M`, `20G`, `1048576`; binary units. nil if it is none.
    static func size(_ text: String) -> Int64? {
        let units: [Character: Int64] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
        guard let last = text.last else { return nil }
        let factor = units[last] ?? 1
        guard let number = Int64(factor == 1 ? text[...] : text.dropLast()), number >= 0 else { return nil }
        let (value, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : value
    }
}
