import ForgeBase
import ForgeEngine

/// One cause why an action has another key than before, or had to run all the same.
struct Cause: Equatable {
    enum Kind: String {
        case option, tree, file, lock, setting
        /// There is nothing to compare with.
        case new
        /// The key is the same, but the result is gone.
        case lost
        /// The key is the same, and it failed or was stopped.
        case unfinished
        /// Something before it has to run first.
        case waits
    }

    var kind: Kind
    /// Of the option or input.
    var name = ""
    /// One line.
    var text: String
    /// `recipes/debian-node/recipe.yaml:83`: where the project says so.
    var place: Place?
    /// What is below the line: files, packages, items of a list.
    var details: [String] = []
    var before: String?
    var after: String?
    /// The output that is this input: `debian-node/base.tree`.
    var maker: Maker?

    /// A file of the project, or a line of it.
    struct Place: Equatable, CustomStringConvertible {
        var file: String
        var line: Int?

        var description: String { line.map { "\(file):\($0)" } ?? file }
    }

    /// An output of another action.
    struct Maker: Equatable {
        var action: String
        var output: String

        init(action: String, output: String) {
            self.action = action
            self.output = output
        }

        /// From `action.output`; names of outputs have no dot.
        init?(_ text: String) {
            guard let dot = text.lastIndex(of: ".") else { return nil }
            self.init(action: String(text[..<dot]), output: String(text[text.index(after: dot)...]))
        }
    }

    var json: JSON {
        func text(_ value: String?) -> JSON { value.map(JSON.string) ?? .null }
        return .object([
            ("kind", .string(kind.rawValue)), ("name", .string(name)), ("text", .string(self.text)),
            ("file", text(place?.file)), ("line", place?.line.map { .int(Int64($0)) } ?? .null),
            ("before", text(before)), ("after", text(after)), ("details", .array(details.map(JSON.string))),
            (
                "because",
                maker.map { .object([("action", .string($0.action)), ("output", .string($0.output))]) } ?? .null
            ),
        ])
    }
}

/// What is said of one action.
struct ActionReport: Equatable {
    /// What happened, or would.
    enum State: String {
        case hit, ran, failed, skipped, gone
        case willRun = "will_run"
        /// Only if an input that is not made yet turns out to be another.
        case mayRun = "may_run"
    }

    var action: String
    var state: State
    /// One line for people: `in the cache`, `ran in build #12`.
    var text: String
    /// The build that it is compared with.
    var comparedWith: Int64?
    var causes: [Cause] = []

    var json: JSON {
        .object([
            ("action", .string(action)), ("state", .string(state.rawValue)), ("text", .string(text)),
            ("compared_with", comparedWith.map(JSON.int) ?? .null), ("causes", .array(causes.map(\.json))),
        ])
    }

    /// How the cause of another action speaks of this one.
    func asCause(output: String) -> String {
        switch state {
        case .ran: "\(action) ran and its output \(output) changed"
        case .willRun: "\(action) will run, and its output \(output) may change"
        case .mayRun: "\(action) may run, and its output \(output) may change"
        case .failed: "\(action) failed"
        case .skipped: "\(action) was skipped"
        case .gone: "\(action) is gone"
        case .hit: "\(action) has another result in the cache, with another \(output)"
        }
    }
}
