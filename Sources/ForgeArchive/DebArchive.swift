package import ForgeBase
package import ForgeStore
import ForgeSystem
import Glibc

/// A Debian binary package, unpacked into an object store. See deb(5).
package struct DebArchive: Sendable {
    /// The text of the `control` file.
    package let control: [UInt8]
    /// The other files of the control archive (maintainer scripts, md5sums, conffiles, triggers …) by name, sorted.
    package let controlFiles: [ControlFile]
    /// The files of the package.
    package let tree: Tree
    /// Paths of the data archive in its order, the root as "": what dpkg writes to the package's `.list`.
    package let order: [ByteString]

    /// A file of the control archive.
    package struct ControlFile: Sendable, Equatable {
        package var name: String
        package var digest: Digest
        /// Whether it may be run.
        package var isExecutable: Bool

        package init(name: String, digest: Digest, isExecutable: Bool) {
            self.name = name
            self.digest = digest
            self.isExecutable = isExecutable
        }
    }

    /// Unpacks a package.
    /// - Parameters:
    ///   - path: the .deb file.
    ///   - name: what errors call it.
    /// - Throws: `.verification` naming package, entry and cause if the package is damaged or dangerous.
    package init(
        path: String, name: String, limits: Archive.Limits = Archive.Limits(), into store: any ObjectStore
    ) throws {
        let file = try FileDescriptor(opening: path)
        let outer = try ArArchive(descriptor: file.raw, name: name)
        guard let version = outer.members.first, version.name == "debian-binary",
            try ArArchive.read(file.raw, Int(min(version.size, 4)), at: version.offset, name).starts(
                with: Array("2.".utf8))
        else { throw Archive.fault(name, "not a Debian package of format 2") }
        let raw = file.raw
        func member(_ prefix: String) throws(ForgeError) -> ArArchive.Member {
            let found = outer.members.filter { $0.name.hasPrefix(prefix) }
            guard found.count == 1 else {
                throw Archive.fault(name, "\(found.count) members named \(prefix)*, not one")
            }
            return found[0]
        }
        let (inner, data) = (try member("control.tar"), try member("data.tar"))
        let meta = try TarContents(
            descriptor: raw, offset: inner.offset, count: inner.size, archive: "\(name) (\(inner.name))",
            limits: Archive.Limits(entries: 1000, bytes: 256 << 20), into: store)
        let contents = try TarContents(
            descriptor: raw, offset: data.offset, count: data.size, archive: "\(name) (\(data.name))", limits: limits,
            into: store)
        guard case .file(let digest)? = meta.tree["control"]?.kind else { throw Archive.fault(name, "no control file") }
        guard digest.size <= 1 << 20 else { throw Archive.fault(name, "a control file of \(digest.size) bytes") }
        control = try store.read(digest)
        controlFiles = meta.tree.entries.compactMap { entry in
            guard case .file(let digest) = entry.kind, entry.path != "control" else { return nil }
            return ControlFile(name: entry.path.description, digest: digest, isExecutable: entry.mode & 0o100 != 0)
        }
        (tree, order) = (contents.tree, contents.order)
        _ = consume file
    }
}
