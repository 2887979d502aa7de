/// Versions of Debian packages, `[epoch:]upstream[-revision]`, in the order of deb-version(7).
package enum DebianVersion {
    /// Less than zero, zero or more than zero, as `a` is older than, the same as or newer than `b`.
    package static func compare(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Int {
        if a == b { return 0 }
        let left = Parts(a)
        let right = Parts(b)
        let epoch = compareNumbers(left.epoch, right.epoch)
        if epoch != 0 { return epoch }
        let upstream = comparePart(left.upstream, right.upstream)
        return upstream != 0 ? upstream : comparePart(left.revision, right.revision)
    }

    /// The same for texts.
    package static func compare(_ a: String, _ b: String) -> Int { compare(Array(a.utf8)[...], Array(b.utf8)[...]) }

    /// Whether a text may stand as a version: it starts with a digit or letter and has only the characters allowed.
    package static func isValid(_ text: String) -> Bool {
        guard let first = text.utf8.first, isDigit(first) || isLetter(first) else { return false }
        return text.utf8.allSatisfy { isDigit($0) || isLetter($0) || ".+-:~_".utf8.contains($0) }
    }

    private struct Parts {
        var epoch: ArraySlice<UInt8> = []
        var upstream: ArraySlice<UInt8>
        var revision: ArraySlice<UInt8> = []

        init(_ version: ArraySlice<UInt8>) {
            upstream = version
            if let colon = upstream.firstIndex(of: UInt8(ascii: ":")) {
                epoch = upstream[..<colon]
                upstream = upstream[(colon + 1)...]
            }
            if let dash = upstream.lastIndex(of: UInt8(ascii: "-")) {
                revision = upstream[(dash + 1)...]
                upstream = upstream[..<dash]
            }
        }
    }

    /// Parts alternate between text and numbers. In text `~` comes before the end, the end before letters, letters
    /// before everything else.
    private static func comparePart(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Int {
        var i = a.startIndex
        var j = b.startIndex
        while i < a.endIndex || j < b.endIndex {
            while (i < a.endIndex && !isDigit(a[i])) || (j < b.endIndex && !isDigit(b[j])) {
                let left = i < a.endIndex ? weight(a[i]) : 0
                let right = j < b.endIndex ? weight(b[j]) : 0
                if left != right { return left - right }
                i += 1
                j += 1
            }
            let left = digits(a, &i)
            let right = digits(b, &j)
            let order = compareNumbers(left, right)
            if order != 0 { return order }
        }
        return 0
    }

    private static func digits(_ part: ArraySlice<UInt8>, _ at: inout Int) -> ArraySlice<UInt8> {
        let start = at
        while at < part.endIndex, isDigit(part[at]) { at += 1 }
        return part[start..<at]
    }

    /// Numbers of any length; none is zero.
    private static func compareNumbers(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Int {
        let left = a.drop { $0 == UInt8(ascii: "0") }
        let right = b.drop { $0 == UInt8(ascii: "0") }
        if left.count != right.count { return left.count - right.count }
        for (x, y) in zip(left, right) where x != y { return Int(x) - Int(y) }
        return 0
    }

    private static func weight(_ byte: UInt8) -> Int {
        if isDigit(byte) { return 0 }
        if isLetter(byte) { return Int(byte) }
        return byte == UInt8(ascii: "~") ? -1 : Int(byte) + 256
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    private static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a }
}
