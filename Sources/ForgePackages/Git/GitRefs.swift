import CGit2
package import ForgeBase

/// Branches and tags of a repository.
package enum GitRefs {
    /// The commit that a branch, a tag or HEAD leads to now; a whole id is itself.
    /// - Parameter url: http, https or file.
    package static func commit(of ref: String, at url: String) throws(ForgeError) -> String {
        if ref.utf8.count == 40, ref.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) {
            return ref
        }
        let heads = try list(url)
        // An annotated tag is listed twice: itself, and with ^{} the commit that it names.
        let names = [ref, "refs/heads/\(ref)", "refs/tags/\(ref)"]
        for name in names {
            if let id = heads[name + "^{}"] ?? heads[name] { return id }
        }
        let known = heads.keys.compactMap { name -> String? in
            for prefix in ["refs/heads/", "refs/tags/"] where name.hasPrefix(prefix) && !name.hasSuffix("^{}") {
                return String(name.dropFirst(prefix.count))
            }
            return nil
        }
        throw ForgeError(
            .badInput, "\(FetchURL.redacted(url)) has no branch or tag “\(ref)”\(Suggestion.hint(for: ref, in: known))",
            remedy: "`git ls-remote \(FetchURL.redacted(url))` lists them")
    }

    private static func list(_ url: String) throws(ForgeError) -> [String: String] {
        try GitLibrary.start()
        var remote: OpaquePointer?
        var heads: UnsafeMutablePointer<UnsafePointer<git_remote_head>?>?
        var count = 0
        var proxy = git_proxy_options()
        defer { git_remote_free(remote) }
        guard git_proxy_options_init(&proxy, UInt32(GIT_PROXY_OPTIONS_VERSION)) == 0 else { throw failed(url) }
        proxy.type = GIT_PROXY_AUTO
        guard git_remote_create_detached(&remote, url) == 0,
            git_remote_connect(remote, GIT_DIRECTION_FETCH, nil, &proxy, nil) == 0,
            git_remote_ls(&heads, &count, remote) == 0
        else { throw failed(url) }
        var found: [String: String] = [:]
        for i in 0..<count {
            guard let head = heads?[i]?.pointee, let name = head.name else { continue }
            found[String(cString: name)] = GitLibrary.text(of: head.oid)
        }
        return found
    }

    private static func failed(_ url: String) -> ForgeError {
        ForgeError(
            .network, "cannot ask \(FetchURL.redacted(url)) for its branches: \(GitLibrary.reason)",
            remedy: "is it the address of a repository? try `git ls-remote \(FetchURL.redacted(url))`")
    }
}
