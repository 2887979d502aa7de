package import ForgeBase

/// What `forge` tells `forge-helper control-plane`: a program of a test's control plane, run in a root file system of its
/// own and in the network of the helper.
package struct ControlPlaneRequest: Sendable, Equatable {
    /// The tree of the root file system.
    package var root: Digest
    /// A program in there and its arguments.
    package var command: [String]
    /// Complete.
    package var environment: [(String, String)]
    /// The folder of the recipe's script, shown read-only.
    package var scripts: String
    /// The folder that the programs of a control plane, its machines and `forge` share.
    package var shared: String
    /// A directory of this program's own.
    package var scratch: String
    /// Absolute path of the cache directory.
    package var cache: String

    package init(
        root: Digest, command: [String], environment: [(String, String)], scripts: String, shared: String,
        scratch: String, cache: String
    ) {
        self.root = root
        self.command = command
        self.environment = environment
        self.scripts = scripts
        self.shared = shared
        self.scratch = scratch
        self.cache = cache
    }

    package static func == (lhs: ControlPlaneRequest, rhs: ControlPlaneRequest) -> Bool { lhs.json == rhs.json }

    package var json: JSON {
        .object([
            ("root", .string(root.description)), ("command", .array(command.map(JSON.string))),
            ("environment", .object(environment.map { ($0.0, .string($0.1)) })), ("scripts", .string(scripts)),
            ("shared", .string(shared)), ("scratch", .string(scratch)), ("cache", .string(cache)),
        ])
    }

    /// - Throws: a bug error naming the field: only `forge` writes requests.
    package init(json: JSON) throws(ForgeError) {
        func text(_ name: String) throws(ForgeError) -> String {
            guard let value = json[name]?.string else { throw ForgeError(.bug, "request: bad “\(name)”") }
            return value
        }
        guard let root = Digest(try text("root")), let command = json["command"]?.array?.compactMap(\.string),
            !command.isEmpty
        else { throw ForgeError(.bug, "request: bad “root” or “command”") }
        self.root = root
        self.command = command
        environment = (json["environment"]?.object ?? []).map { ($0.0, $0.1.string ?? "") }
        scripts = try text("scripts")
        shared = try text("shared")
        scratch = try text("scratch")
        cache = try text("cache")
    }
}

/// Where things are in the root file system of a control plane.
package enum ControlPlanePlace {
    package static let scripts = "/tests"
    package static let shared = "/cluster"
}
