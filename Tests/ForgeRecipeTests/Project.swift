import ForgeBase
import ForgeRecipe
import ForgeSystem
import Glibc
import Testing

/// A project in a fresh directory, removed at the end of the test.
final class Project {
    let root: String

    init() throws {
        var template = Array("/tmp/forge-recipe-test.XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        }
        root = try #require(made.flatMap(Files.absolute))
        for (path, text) in Project.stages { try write(path, text) }
        try write("recipes/node/files/motd", "Welcome.\n")
    }

    deinit { try? Files.remove(root) }

    func write(_ path: String, _ text: String) throws { try write(path, Array(text.utf8)) }

    func write(_ path: String, _ bytes: [UInt8]) throws {
        let full = root + "/" + path
        try Files.makeDirectories(Files.parent(of: full))
        try Files.write(full, bytes, mode: path.hasSuffix("/run") ? 0o755 : 0o644)
    }

    var layout: ProjectLayout { ProjectLayout(root: root, workingDirectory: root) }

    /// Writes and loads `recipes/node/recipe.yaml`.
    func load(_ text: String, set: [(name: String, value: String)] = []) throws -> Recipe {
        try write("recipes/node/recipe.yaml", text)
        return try Recipe.load(root + "/recipes/node/recipe.yaml", catalog: layout.catalog(), set: set)
    }

    /// The faults of a text as `forge` prints them; empty if it is good.
    func faults(_ text: String, set: [(name: String, value: String)] = []) throws -> [String] {
        do {
            _ = try load(text, set: set)
            return []
        } catch let errors as ForgeErrors {
            return errors.errors.map(\.description)
        }
    }

    /// A small set of stages that uses every part of the format.
    static let stages = [
        "stages/packages/stage.yaml": """
        summary: Distribution packages.
        run: builtin:packages
        network: true
        lock: debian
        resources: {cpu: 1, memory: 512M, network: 4}
        options:
          suites: {type: list, of: {type: string, format: name}, required: true, summary: Suites in order.}
          include: {type: list, of: {type: string, format: package-name}, default: [], summary: Packages.}
          recommends: {type: boolean, default: false, summary: Whether to take recommended packages.}
        outputs:
          packages: {kind: tree, summary: The package files.}
        """,
        "stages/rootfs/stage.yaml": """
        summary: A root file system.
        version: 3
        run: builtin:rootfs
        options:
          hostname: {type: string, format: hostname, default: node, summary: The host's name.}
          sysctl: {type: map, of: string, default: {}, summary: Kernel settings.}
          files:
            type: list
            summary: Files to add.
            default: []
            of:
              type: object
              fields:
                path: {type: string, format: absolute-path, required: true}
                source: {type: path}
                content: {type: string}
                mode: {type: string, format: octal-mode, default: "0644"}
        inputs:
          packages: {kind: tree, summary: Packages to install.}
          layers: {kind: tree, many: true, optional: true, summary: Trees below.}
        outputs:
          tree: {kind: tree, summary: The system.}
        """,
        "stages/squashfs/stage.yaml": """
        summary: A squashfs image of a tree.
        run: script
        build-root: image
        options:
          compression: {type: enum, values: [zstd, lz4, xz], default: zstd, summary: The compressor.}
          level: {type: integer, minimum: 1, maximum: 22, summary: How hard to try.}
        inputs:
          tree: {kind: tree, summary: The tree.}
        outputs:
          image: {kind: file, media-type: application/vnd.squashfs, summary: The image.}
        """,
        "stages/squashfs/run": "#!/bin/sh\n",
        "stages/build-roots/image.yaml": """
        forge: 1
        name: image
        architecture: amd64
        stages:
          packages: {stage: packages, options: {suites: [bookworm]}}
          base: {stage: rootfs, inputs: {packages: packages.packages}}
        artifacts: {tree: base.tree}
        """,
    ]

    static let recipe = """
        forge: 1
        name: node
        summary: A node.
        architecture: amd64
        parameters:
          suite: {type: enum, values: [bookworm, trixie], default: bookworm, summary: Debian's release.}
          level: {type: integer, default: 19, summary: Compression level.}
          debug: {type: boolean, default: false, summary: Tools for debugging.}
        stages:
          image:
            stage: squashfs
            inputs: {tree: base.tree}
            options: {level: "${level}"}
          packages:
            stage: packages
            options:
              suites: ["${suite}", "${suite}-updates"]
              include:
                - systemd
                - {when: {suite: trixie}, value: systemd-cryptsetup}
                - {when: {debug: true}, values: [strace, gdb]}
          base:
            stage: rootfs
            inputs: {packages: packages.packages}
            options:
              hostname: node-${suite}
              files:
                - {path: /etc/motd, source: files/motd}
                - {path: /usr/bin/hello, content: "echo $${HOME} $HOME $(id)", mode: 0755}
          debug-image:
            when: {debug: true}
            stage: squashfs
            inputs: {tree: base.tree}
            options: {compression: lz4}
        artifacts:
          node-${suite}.squashfs: image.image
          debug.squashfs: {when: {debug: true}, value: debug-image.image}
        tests:
          - name: boot
            disk: node-${suite}.squashfs
            firmware: [bios, uefi]
            memory: 3G
            seed: {user-data: "#cloud-config"}
            checks:
              - {unit: ssh.service}
              - {command: hostname, output: node}
              - {no-failed-units: true, except: [systemd-networkd-wait-online.service]}
        """
}

extension String {
    /// The text with the first place of another text replaced; nil if it is not there.
    func replacing(first old: String, with new: String) -> String? {
        let bytes = Array(utf8)
        let pattern = Array(old.utf8)
        guard bytes.count >= pattern.count else { return nil }
        for start in 0...(bytes.count - pattern.count) where bytes[start...].starts(with: pattern) {
            let result = Array(bytes[..<start]) + Array(new.utf8) + Array(bytes[(start + pattern.count)...])
            return String(decoding: result, as: UTF8.self)
        }
        return nil
    }
}
