import ForgeBase

/// Reads inputs that are no output of another stage: `{path: …}`, `{glob: …}`, `{url: …}`, `{git: …}`.
struct InputReader {
    let faults: Faults
    let resolver: RecipePaths

    /// The first key of each form.
    static let forms = ["path", "glob", "url", "git"]
    static let remedy =
        "write <stage>.<output>, {path: …}, {glob: …}, {url: …, sha256: …} or {git: …, commit: …}"

    /// The source that a mapping describes; nil with a fault.
    /// - Parameter name: the input, for messages.
    func source(_ entries: [YAMLEntry], at location: SourceLocation, for name: String) -> InputSource? {
        let keys = entries.map(\.key)
        guard let form = InputReader.forms.first(where: keys.contains) else {
            let hint = keys.lazy.compactMap { Suggestion.nearest(to: $0, in: InputReader.forms) }.first
            faults.add(
                "\(name) must have one of the keys \(InputReader.forms.joined(separator: ", "))"
                    + (hint.map { "; did you mean “\($0)”?" } ?? ""), at: location, remedy: InputReader.remedy)
            return nil
        }
        let others = InputReader.forms.filter { $0 != form && keys.contains($0) }
        guard others.isEmpty else {
            faults.add(
                "\(name) has both “\(form)” and “\(others[0])”", at: location,
                remedy: "an input of several takes a list of such mappings")
            return nil
        }
        guard let fields = Fields(YAMLNode(.mapping(entries), at: location), name, faults) else { return nil }
        defer { fields.finish() }
        switch form {
        case "path": return path(fields)
        case "glob": return glob(fields)
        case "url": return url(fields)
        default: return git(fields)
        }
    }

    private func path(_ fields: Fields) -> InputSource? {
        guard let node = fields.node("path"), let text = fields.text(node, "“path” of \(fields.what)") else {
            return nil
        }
        return resolver.resolve(text, node, "“path” of \(fields.what)").map(InputSource.path)
    }

    private func glob(_ fields: Fields) -> InputSource? {
        let patterns = texts(fields, "glob") { node, text in
            guard let fault = Glob.fault(text) else { return }
            faults.add("“\(text)” in “glob” of \(fields.what): \(fault)", at: node.location)
        }
        let except = texts(fields, "except") { node, text in
            guard let fault = Glob.fault(text) else { return }
            faults.add("“\(text)” in “except” of \(fields.what): \(fault)", at: node.location)
        }
        let optional = fields.bool("optional") ?? false
        guard let patterns else { return nil }
        return .glob(
            GlobSource(patterns: patterns, except: except ?? [], optional: optional, directory: resolver.directory))
    }

    private func url(_ fields: Fields) -> InputSource? {
        let urls = texts(fields, "url") { node, text in
            if TextFormat.url.accepts(text) { return }
            faults.add(
                "“url” of \(fields.what) must be \(TextFormat.url.summary), not \(node.kindName)", at: node.location)
        }
        let sha256 = digest(fields, "sha256")
        let size = fields.node("size") == nil ? nil : fields.int("size", 0...Int64.max)
        if fields.node("sha256") == nil {
            faults.add(
                "\(fields.what) has no “sha256”, and bytes from outside must be known", at: fields.location,
                remedy: "`forge hash \(urls?.first ?? "URL")` prints it")
        }
        guard let urls, let sha256 else { return nil }
        return .url(URLSource(urls: urls, sha256: sha256, size: size))
    }

    private func git(_ fields: Fields) -> InputSource? {
        let urls = texts(fields, "git") { node, text in
            if TextFormat.url.accepts(text) { return }
            let ssh = text.hasPrefix("ssh://") || text.hasPrefix("git@")
            faults.add(
                "“git” of \(fields.what) must be \(TextFormat.url.summary), not \(node.kindName)", at: node.location,
                remedy: ssh ? "a build uses nobody's SSH keys: write the https:// address" : nil)
        }
        let commit = commit(fields, urls?.first)
        let ref = fields.string("ref")
        let submodules = fields.bool("submodules") ?? false
        let tree = fields.node("tree") == nil ? nil : digest(fields, "tree")
        guard let urls, let commit else { return nil }
        return .git(GitSource(urls: urls, commit: commit, ref: ref, submodules: submodules, tree: tree))
    }

    private func commit(_ fields: Fields, _ url: String?) -> String? {
        let what = "“commit” of \(fields.what)"
        let find = "`forge hash --git \(url ?? "URL") [BRANCH|TAG]` prints it"
        guard let node = fields.node("commit") else {
            faults.add("\(fields.what) has no “commit”: branches and tags move", at: fields.location, remedy: find)
            return nil
        }
        // Sixteen decimal digits are an integer of YAML, and the beginning of no whole id.
        let text: String
        switch node.content {
        case .string(let written): text = written
        case .int(let number): text = String(number)
        default:
            faults.add("\(what) must be 40 hexadecimal digits, not \(node.kindName)", at: node.location, remedy: find)
            return nil
        }
        let digits = text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        if digits, text.utf8.count == 40 { return text }
        let remedy: String
        if digits, text.utf8.count == 64 {
            remedy = "this is the id of a SHA-256 repository, which libgit2 can't read: take a release by {url: …}"
        } else if digits, text.utf8.count >= 4 {
            remedy = "write the whole id: git rev-parse \(text)"
        } else {
            remedy = find
        }
        faults.add("\(what) must be 40 small hexadecimal digits, not “\(text)”", at: node.location, remedy: remedy)
        return nil
    }

    private func digest(_ fields: Fields, _ key: String) -> String? {
        guard let node = fields.node(key), let text = fields.text(node, "“\(key)” of \(fields.what)") else {
            return nil
        }
        if TextFormat.sha256.accepts(text) { return text }
        faults.add(
            "“\(key)” of \(fields.what) must be \(TextFormat.sha256.summary), not \(node.kindName)", at: node.location,
            remedy: TextFormat.sha256.accepts(text.lowercased()) ? "write it in small letters" : nil)
        return nil
    }

    /// A text or a list of texts, each checked; nil with a fault.
    private func texts(_ fields: Fields, _ key: String, _ check: (YAMLNode, String) -> Void) -> [String]? {
        guard let node = fields.node(key) else { return nil }
        var nodes = [node]
        if case .sequence(let items) = node.content { nodes = items }
        if nodes.isEmpty {
            faults.add("“\(key)” of \(fields.what) is an empty list", at: node.location)
            return nil
        }
        let before = faults.errors.count
        let texts = nodes.compactMap { node -> String? in
            guard let text = fields.text(node, "“\(key)” of \(fields.what)") else { return nil }
            check(node, text)
            return text
        }
        return faults.errors.count == before ? texts : nil
    }
}
