package import ForgeBase
package import ForgeStore

/// One thing that an action's key depends on. The key and its explanation are made from the same list, so that the
/// explanation can't drift from the key.
package struct KeyPart: Sendable, Equatable {
    package enum Kind: String, Sendable { case setting, option, file, tree, lock }

    package var kind: Kind
    package var name: String
    /// A text, or the written form of a digest whose object can be looked into.
    package var value: String

    package init(_ kind: Kind, _ name: String, _ value: String) {
        self.kind = kind
        self.name = name
        self.value = value
    }
}

/// An input whose content is known.
package struct ResolvedInput: Sendable, Equatable {
    package var name: String
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
    /// comment in a stage's script does not change the artifact.
    package let seed: Digest

    /// Inputs enter by the digest of their content: an action rebuilt to the same bytes stops the rebuild there.
    package init(of action: PlannedAction, inputs: [ResolvedInput], buildRoot: Digest?) {
        var content: [KeyPart] = []
        for (name, value) in action.options.object ?? [] {
            content.append(KeyPart(.option, name, value.description))
        }
        for input in inputs {
            let name = input.label.isEmpty || input.label == input.name ? input.name : "\(input.name)/\(input.label)"
            content.append(KeyPart(input.kind == .tree ? .tree : .file, name, input.digest.description))
        }
        if let locked = action.locked { content.append(KeyPart(.lock, "lock", locked.description)) }
        content.append(KeyPart(.setting, "epoch", String(action.epoch)))
        content.append(KeyPart(.setting, "architecture", action.architecture))

        var parts = [
            KeyPart(.setting, "format", ActionKey.format),
            KeyPart(.setting, "stage", action.stage),
            KeyPart(.tree, "stage folder", action.stageDigest.description),
        ]
        parts += content
        if let buildRoot { parts.append(KeyPart(.tree, "build root", buildRoot.description)) }
        self.parts = parts
        digest = ActionKey.hash("forge.action", parts)
        seed = ActionKey.hash("forge.seed", content)
    }

    private static func hash(_ domain: String, _ parts: [KeyPart]) -> Digest {
        var encoder = CanonicalEncoder(domain: domain)
        encoder.add(UInt64(parts.count))
        for part in parts {
            encoder.add(part.kind.rawValue)
            encoder.add(part.name)
            encoder.add(part.value)
        }
        return encoder.digest
    }
}

/// Why an action's key differs from that of an earlier build.
package struct KeyChange: Sendable, Equatable {
    package var kind: KeyPart.Kind
    package var name: String
    /// nil: the part is new.
    package var before: String?
    /// nil: the part is gone.
    package var after: String?

    /// The parts that differ, in the order of the key.
    package static func between(_ before: [KeyPart], _ after: [KeyPart]) -> [KeyChange] {
        func id(_ part: KeyPart) -> String { "\(part.kind.rawValue) \(part.name)" }
        let old = Dictionary(before.map { (id($0), $0.value) }) { first, _ in first }
        let new = Dictionary(after.map { (id($0), $0.value) }) { first, _ in first }
        var changes = after.compactMap { part in
            old[id(part)] == part.value
                ? nil : KeyChange(kind: part.kind, name: part.name, before: old[id(part)], after: part.value)
        }
        changes += before.filter { new[id($0)] == nil }.map {
            KeyChange(kind: $0.kind, name: $0.name, before: $0.value, after: nil)
        }
        return changes
    }
}
