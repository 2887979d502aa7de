/// "Did you mean …": the known word nearest to a wrong one.
package enum Suggestion {
    /// The nearest of `known` by edit distance, if it is near enough to be a typing error.
    package static func nearest(to word: String, in known: some Collection<String>) -> String? {
        let limit = max(1, word.count / 3)
        var best: (distance: Int, word: String)?
        for candidate in known.sorted(by: { $0.precedes($1) }) {
            let distance = editDistance(Array(word.lowercased().utf8), Array(candidate.lowercased().utf8))
            if distance <= limit, distance < best?.distance ?? Int.max { best = (distance, candidate) }
        }
        return best?.word
    }

    /// ` (did you mean "x"?)`, or nothing.
    package static func hint(for word: String, in known: some Collection<String>) -> String {
        nearest(to: word, in: known).map { "; did you mean “\($0)”?" } ?? ""
    }

    /// The same out of tens of thousands of words: only those of like length and beginning are looked at.
    package static func hint(for word: String, inMany known: some Sequence<String>) -> String {
        let (length, first) = (word.utf8.count, word.utf8.first)
        let near = known.filter { other in
            abs(other.utf8.count - length) <= max(1, length / 3)
                && (other.utf8.first == first || other.utf8.dropFirst().first == first)
        }
        return hint(for: word, in: near)
    }

    /// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
    static func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var rows = [Array(0...b.count)]
        for i in 0..<a.count {
            var row = [i + 1]
            for j in 0..<b.count {
                var cost = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, rows[i - 1][j - 1] + 1) }
                row.append(cost)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
