package import ForgeBase

/// A pattern of paths below a directory.
///
/// `*` is any part of one name, `?` one character, `[a-z]` and `[!a-z]` one of some characters, `**` alone between
/// slashes any number of directories (at the end, everything below). `\` takes the next character as it is. Names that
/// start with a dot are names like any other. Case counts, on every machine.
package struct Glob: Sendable, Equatable {
    /// What one character of a name must be.
    enum Atom: Sendable, Equatable {
        case literal(UInt32)
        case any
        case star
        case oneOf([ClosedRange<UInt32>], not: Bool)
    }

    enum Part: Sendable, Equatable {
        /// `**`
        case directories
        case name([Atom])
    }

    let parts: [Part]

    /// What is wrong with a pattern, or nil.
    package static func fault(_ text: String) -> String? {
        do {
            _ = try Glob(text)
            return nil
        } catch { return error.message }
    }

    /// - Throws: `.badInput` saying what is wrong with the pattern.
    package init(_ text: String) throws(ForgeError) {
        if text.hasPrefix("/") {
            throw ForgeError(.badInput, "a pattern is relative to the recipe's folder, so it can't start with “/”")
        }
        var parts: [Part] = []
        for piece in text.split(separator: "/", omittingEmptySubsequences: false) {
            switch piece {
            case "": throw ForgeError(.badInput, "a pattern can't have an empty part")
            case ".", "..": throw ForgeError(.badInput, "a pattern can't have “.” or “..” as a part")
            case "**": if parts.last != .directories { parts.append(.directories) }
            default: parts.append(.name(try Glob.atoms(piece)))
            }
        }
        self.parts = parts
    }

    private static func atoms(_ piece: Substring) throws(ForgeError) -> [Atom] {
        let scalars = piece.unicodeScalars.map(\.value)
        var atoms: [Atom] = []
        var i = 0
        while i < scalars.count {
            switch scalars[i] {
            case 0x2a:
                if atoms.last == .star {
                    throw ForgeError(.badInput, "“**” must stand alone between slashes, as in src/**/*.c")
                }
                atoms.append(.star)
            case 0x3f: atoms.append(.any)
            case 0x5b:
                let (atom, next) = try set(scalars, from: i + 1)
                atoms.append(atom)
                i = next
                continue
            case 0x5c:
                i += 1
                guard i < scalars.count else { throw ForgeError(.badInput, "nothing follows the last “\\”") }
                atoms.append(.literal(scalars[i]))
            case 0x7b, 0x7d:
                throw ForgeError(.badInput, "braces are not expanded: write a list of patterns, or \\{ for a brace")
            default: atoms.append(.literal(scalars[i]))
            }
            i += 1
        }
        return atoms
    }

    /// `[…]` from behind the bracket to behind its end.
    private static func set(_ scalars: [UInt32], from start: Int) throws(ForgeError) -> (Atom, Int) {
        var i = start
        let not = i < scalars.count && (scalars[i] == 0x21 || scalars[i] == 0x5e)
        if not { i += 1 }
        var ranges: [ClosedRange<UInt32>] = []
        while i < scalars.count, scalars[i] != 0x5d || ranges.isEmpty {
            let low = scalars[i]
            if i + 2 < scalars.count, scalars[i + 1] == 0x2d, scalars[i + 2] != 0x5d {
                guard low <= scalars[i + 2] else { throw ForgeError(.badInput, "a range in “[…]” runs backwards") }
                ranges.append(low...scalars[i + 2])
                i += 3
            } else {
                ranges.append(low...low)
                i += 1
            }
        }
        guard i < scalars.count else { throw ForgeError(.badInput, "“[” without “]”; write \\[ for a bracket") }
        return (.oneOf(ranges, not: not), i + 1)
    }

    // MARK: Matching

    /// How far into the pattern the directories above a name have come: positions in `parts`.
    package typealias State = Set<Int>

    package var start: State { skipping([0]) }

    /// Positions behind a `**` too, because it may stand for nothing.
    private func skipping(_ state: State) -> State {
        var all = state
        for i in state {
            var next = i
            while next < parts.count, parts[next] == .directories {
                next += 1
                all.insert(next)
            }
        }
        return all
    }

    /// What one more name makes of a state, and whether the path with it fits as a file.
    package func advance(_ state: State, _ name: ByteString) -> (state: State, fits: Bool) {
        let characters = Glob.characters(name)
        var next: State = []
        var fits = false
        for i in state where i < parts.count {
            switch parts[i] {
            case .directories:
                next.insert(i)
                // At the end it is everything below.
                if i == parts.count - 1 { fits = true }
            case .name(let atoms):
                guard Glob.matches(atoms, characters) else { continue }
                if i == parts.count - 1 { fits = true } else { next.insert(i + 1) }
            }
        }
        return (skipping(next).filter { $0 < parts.count }, fits)
    }

    /// Whether a whole path fits.
    package func matches(_ path: ByteString) -> Bool {
        var state = start
        var fits = false
        for name in path.bytes.split(separator: UInt8(ascii: "/")) {
            (state, fits) = advance(state, ByteString(name))
            if state.isEmpty, !fits { return false }
        }
        return fits
    }

    /// The characters of a name; a byte that is no UTF-8 is a character of its own.
    private static func characters(_ name: ByteString) -> [UInt32] {
        if let text = String(validating: name.bytes, as: UTF8.self) { return text.unicodeScalars.map(\.value) }
        return name.bytes.map { $0 < 0x80 ? UInt32($0) : 0x11_0000 + UInt32($0) }
    }

    /// Linear but for stars, and with stars at worst the product of both lengths.
    private static func matches(_ atoms: [Atom], _ characters: [UInt32]) -> Bool {
        var (a, c) = (0, 0)
        var retry: (atom: Int, character: Int)?
        while c < characters.count {
            if a < atoms.count {
                switch atoms[a] {
                case .star:
                    retry = (a + 1, c)
                    a += 1
                    continue
                case .any:
                    (a, c) = (a + 1, c + 1)
                    continue
                case .literal(let value) where value == characters[c]:
                    (a, c) = (a + 1, c + 1)
                    continue
                case .oneOf(let ranges, let not) where ranges.contains(where: { $0.contains(characters[c]) }) != not:
                    (a, c) = (a + 1, c + 1)
                    continue
                default: break
                }
            }
            guard let last = retry else { return false }
            retry = (last.atom, last.character + 1)
            (a, c) = (last.atom, last.character + 1)
        }
        return atoms[a...].allSatisfy { $0 == .star }
    }
}
