package import ForgeBase

/// Where the bytes of an input come from.
package enum InputSource: Sendable, Hashable {
    /// What another stage makes.
    case output(OutputReference)
    /// A file or directory of the recipe.
    case path(ProjectPath)
    /// The files of the recipe that fit a pattern, as a tree.
    case glob(GlobSource)
    /// A file of the network that the recipe pins by its digest.
    case url(URLSource)
    /// A tree of the network that the recipe pins by its commit.
    case git(GitSource)

    /// The kind of what comes; fixed by the form, but for a path.
    package var kind: ArtifactKind? {
        switch self {
        case .output: nil
        case .path(let path): path.isDirectory ? .tree : .file
        case .glob, .git: .tree
        case .url: .file
        }
    }

    /// The name that tells it apart in a list, safe as a file name: the stage's id, or the last part of a path.
    package var label: String {
        switch self {
        case .output(let reference): reference.stage
        case .path(let path): InputSource.lastName(path.relative)
        case .glob(let glob): InputSource.lastName(glob.prefix)
        case .url(let source): InputSource.lastName(source.urls.first ?? "")
        case .git(let source): InputSource.lastName(source.urls.first ?? "", without: ".git")
        }
    }

    private static func lastName(_ text: String, without ending: String = "") -> String {
        let path = text.prefix { $0 != "?" && $0 != "#" }
        var name = path.split(separator: "/").last.map(String.init) ?? "files"
        if !ending.isEmpty, name.hasSuffix(ending), name != ending { name.removeLast(ending.count) }
        let plain = name.utf8.map { byte -> UInt8 in
            let fits =
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                || "._-".utf8.contains(byte)
            return fits ? byte : UInt8(ascii: "_")
        }
        return String(decoding: plain.prefix(64), as: UTF8.self)
    }
}

/// A source of an input, with the place where the recipe names it.
package struct BoundSource: Sendable, Equatable {
    package var source: InputSource
    package var location: SourceLocation
}

/// A file or directory below the recipe's directory.
package struct ProjectPath: Sendable, Hashable {
    /// As written, relative to the recipe's directory.
    package var relative: String
    /// On this machine, links resolved.
    package var absolute: String
    package var isDirectory: Bool
}

/// Patterns of paths below the recipe's directory.
package struct GlobSource: Sendable, Hashable {
    /// What to take.
    package var patterns: [String]
    /// What to leave out of it.
    package var except: [String]
    /// Whether it may fit nothing.
    package var optional: Bool
    /// The recipe's directory, absolute.
    package var directory: String

    /// The part of the first pattern that has no wildcard: where the files are.
    var prefix: String {
        let parts = (patterns.first ?? "").split(separator: "/")
        return parts.prefix { part in !part.contains { "*?[\\".contains($0) } }.joined(separator: "/")
    }
}

/// A file by its digest, and the places that have it.
package struct URLSource: Sendable, Hashable {
    /// In order of preference.
    package var urls: [String]
    /// 64 small hexadecimal digits.
    package var sha256: String
    /// Bytes, if the recipe says so.
    package var size: Int64?

    package init(urls: [String], sha256: String, size: Int64? = nil) {
        self.urls = urls
        self.sha256 = sha256
        self.size = size
    }

    /// For the built-in that fetches it.
    package var options: JSON { .object(identity + [("urls", .array(urls.map(JSON.string)))]).canonical }

    /// What decides the result; the places do not.
    package var keyedOptions: JSON { .object(identity).canonical }

    private var identity: [(String, JSON)] {
        [("sha256", .string(sha256))] + (size.map { [("size", .int($0))] } ?? [])
    }

    /// - Throws: a bug error: only forge writes these options.
    package init(options: JSON) throws(ForgeError) {
        guard let urls = options["urls"]?.array?.compactMap(\.string), let sha256 = options["sha256"]?.string else {
            throw ForgeError(.bug, "bad options of fetch-url")
        }
        self.init(urls: urls, sha256: sha256, size: options["size"]?.int)
    }
}

/// The tree of a commit, and the repositories that have it.
package struct GitSource: Sendable, Hashable {
    /// In order of preference.
    package var urls: [String]
    /// 40 small hexadecimal digits.
    package var commit: String
    /// A branch or tag that leads to the commit, for servers that give no commit by its id.
    package var ref: String?
    /// Whether the trees of submodules are part of the tree; without it, submodules are an error.
    package var submodules: Bool
    /// The SHA-256 of the tree as forge writes it, if the recipe pins it too.
    package var tree: String?

    package init(
        urls: [String], commit: String, ref: String? = nil, submodules: Bool = false, tree: String? = nil
    ) {
        self.urls = urls
        self.commit = commit
        self.ref = ref
        self.submodules = submodules
        self.tree = tree
    }

    /// For the built-in that fetches it.
    package var options: JSON {
        let places: [(String, JSON)] =
            [("urls", .array(urls.map(JSON.string)))] + (ref.map { [("ref", .string($0))] } ?? [])
        return .object(identity + places).canonical
    }

    /// What decides the result; the places do not.
    package var keyedOptions: JSON { .object(identity).canonical }

    private var identity: [(String, JSON)] {
        [("commit", .string(commit)), ("submodules", .bool(submodules))] + (tree.map { [("tree", .string($0))] } ?? [])
    }

    /// - Throws: a bug error: only forge writes these options.
    package init(options: JSON) throws(ForgeError) {
        guard let urls = options["urls"]?.array?.compactMap(\.string), let commit = options["commit"]?.string else {
            throw ForgeError(.bug, "bad options of fetch-git")
        }
        self.init(
            urls: urls, commit: commit, ref: options["ref"]?.string, submodules: options["submodules"]?.bool ?? false,
            tree: options["tree"]?.string)
    }
}
