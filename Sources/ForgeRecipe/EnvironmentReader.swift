import ForgeBase

/// Reads `environment`, the fixed variables of a script.
struct EnvironmentReader {
    let faults: Faults

    /// What forge sets itself. `PATH` may be set: a build root may have programs elsewhere.
    private static let reserved: Set<String> = [
        "HOME", "TMPDIR", "LC_ALL", "TZ", "SOURCE_DATE_EPOCH", "LD_PRELOAD", "PWD", "OLDPWD", "_",
    ]
    private static let reservedPrefixes = ["FORGE_", "OPT_", "FAKETIME"]

    /// The variables of a mapping, in its order.
    /// - Parameter expander: puts parameters of the recipe in; nil in a stage, which knows none.
    func variables(_ entries: [YAMLEntry], of owner: String, _ expander: Expander? = nil) -> [Variable] {
        entries.compactMap { entry in
            guard checkName(entry, owner), let node = expander.map({ $0.expand(entry.value) }) ?? entry.value else {
                return nil
            }
            switch node.content {
            case .string(let text):
                if !text.utf8.contains(0) { return Variable(name: entry.key, value: text) }
                faults.add("variable “\(entry.key)” of \(owner) can't have a NUL byte", at: node.location)
            case .int(let number): return Variable(name: entry.key, value: String(number))
            case .bool(let flag): return Variable(name: entry.key, value: String(flag))
            default:
                faults.add(
                    "variable “\(entry.key)” of \(owner) must be a string, not \(node.kindName)", at: node.location)
            }
            return nil
        }
    }

    private func checkName(_ entry: YAMLEntry, _ owner: String) -> Bool {
        let name = Array(entry.key.utf8)
        let letter = { (byte: UInt8) in
            (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == UInt8(ascii: "_")
        }
        guard let first = name.first, letter(first), name.allSatisfy({ letter($0) || (0x30...0x39).contains($0) })
        else {
            faults.add(
                "“\(entry.key)” is no name for a variable of \(owner)", at: entry.keyLocation,
                remedy: "use letters, digits and “_”, and start with no digit")
            return false
        }
        if EnvironmentReader.reserved.contains(entry.key)
            || EnvironmentReader.reservedPrefixes.contains(where: { entry.key.hasPrefix($0) })
        {
            faults.add("forge sets the variable “\(entry.key)” of \(owner) itself", at: entry.keyLocation)
            return false
        }
        return true
    }

    /// A stage's variables with those of a recipe over them, in byte order of the names.
    static func merge(_ stage: [Variable], _ recipe: [Variable]) -> [Variable] {
        if recipe.isEmpty { return stage }
        let merged = Dictionary((stage + recipe).map { ($0.name, $0.value) }) { _, new in new }
        return merged.map { Variable(name: $0.key, value: $0.value) }.sorted { $0.name.precedes($1.name) }
    }
}
