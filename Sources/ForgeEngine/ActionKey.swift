package import ForgeBase
package import ForgeStore

/// What a part of a key is about: the first word of the part's name.
package enum KeyPartKind: String, Sendable { case setting, option, file, tree, lock }

extension KeyPart {
    init(_ kind: KeyPartKind, _ name: String, _ value: String) {
        self.init(name: "\(kind.rawValue) \(name)", value: value)
    }
}

/// An input whose content is known.
package struct ResolvedInput: Sendable, Equatable {
    package var name: String
    /// Tells inputs of one name apart: their order, and what made them.
    package var label: String
    package var kind: ActionResult.Output.Kind
    package var digest: Digest

    package init(name: String, label: String, kind: ActionResult.Output.Kind, digest: Digest) {
        self.name = name
        self.label = label
        self.kind = kind
        self.digest = digest
    }
}

/// The only function that makes keys.
package struct ActionKey: Sendable, Equatable {
    /// Raised when the meaning of a key or of a result changes.
    static let format = "1"

    package let parts: [KeyPart]
    package let digest: Digest
    /// What identifiers in artifacts (labels, UUIDs) are derived from: options and inputs alone, so that a changed
    /// comment in a stage's script does not change the artifact. Made when asked: only what runs needs it.
    package var seed: Digest { ActionKey.hash("forge.seed", parts[content]) }
    private let content: Range<Int>

    /// Inputs enter by the digest of their content: an action rebuilt to the same bytes stops the rebuild there.
    package init(of action: PlannedAction, inputs: [ResolvedInput], buildRoot: Digest?) {
        var content: [KeyPart] = []
        for (name, value) in action.keyedOptions.object ?? [] {
            content.append(KeyPart(.option, name, value.description))
        }
        for input in inputs {
            content.append(
                KeyPart(
                    name: ActionKey.part(of: input.name, input.label, input.kind), value: input.digest.description))
        }
        for (name, value) in action.environment { content.append(KeyPart(.setting, "variable \(name)", value)) }
        if let locked = action.locked { content.append(KeyPart(.lock, "lock", locked.description)) }
        content.append(KeyPart(.setting, "epoch", String(action.epoch)))
        content.append(KeyPart(.setting, "architecture", action.architecture))

        var parts = [
            KeyPart(.setting, "format", ActionKey.format),
            KeyPart(.setting, "stage", action.stage),
            KeyPart(.tree, "stage folder", action.stageDigest.description),
        ]
        self.content = parts.count..<(parts.count + content.count)
        parts += content
        if let buildRoot { parts.append(KeyPart(.tree, "build root", buildRoot.description)) }
        self.parts = parts
        digest = ActionKey.hash("forge.action", parts[...])
    }

    /// The name of an input's part: `tree packages`, `file layers/00-base`. Different inputs have different names: that of an
    /// input has no slash.
    package static func part(of input: String, _ label: String, _ kind: ActionResult.Output.Kind) -> String {
        let name = label.isEmpty ? input : "\(input)/\(label)"
        return "\(kind == .tree ? KeyPartKind.tree.rawValue : KeyPartKind.file.rawValue) \(name)"
    }

    private static func hash(_ domain: String, _ parts: ArraySlice<KeyPart>) -> Digest {
        var encoder = CanonicalEncoder(domain: domain)
        encoder.add(UInt64(parts.count))
        for part in parts {
            encoder.add(part.name)
            encoder.add(part.value)
        }
        return encoder.digest
    }
}

/// A part in which an action's key differs from that of an earlier build.
package struct KeyChange: Sendable, Equatable {
    package var kind: KeyPartKind
    package var name: String
    /// nil: the part is new.
    package var before: String?
    /// nil: the part is gone.
    package var after: String?

    package init(kind: KeyPartKind, name: String, before: String?, after: String?) {
        self.kind = kind
        self.name = name
        self.before = before
        self.after = after
    }

    private init(part: String, before: String?, after: String?) {
        let words = part.split(separator: " ", maxSplits: 1).map(String.init)
        self.init(
            kind: KeyPartKind(rawValue: words.first ?? "") ?? .setting, name: words.count > 1 ? words[1] : part,
            before: before, after: after)
    }

    /// The parts that differ, in the order of the key.
    package static func between(_ before: [KeyPart], _ after: [KeyPart]) -> [KeyChange] {
        let old = Dictionary(before.map { ($0.name, $0.value) }) { first, _ in first }
        let new = Dictionary(after.map { ($0.name, $0.value) }) { first, _ in first }
        var changes = after.compactMap { part in
            old[part.name] == part.value ? nil : KeyChange(part: part.name, before: old[part.name], after: part.value)
        }
        changes += before.filter { new[$0.name] == nil }.map { KeyChange(part: $0.name, before: $0.value, after: nil) }
        return changes
    }
}
