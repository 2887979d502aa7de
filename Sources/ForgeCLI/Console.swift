import ForgeBase
import ForgeSystem
import Glibc

/// The only place that prints. Results go to standard output; everything about how the work goes, to standard error.
final class Console {
    let json: Bool
    let quiet: Bool
    /// Whether standard error is a terminal that can redraw lines.
    let live: Bool
    private let color: Bool
    /// Lines of the live view that are on the screen now.
    private var drawn = 0

    init(json: Bool, quiet: Bool, color: String?, terminal: Terminal, inCI: Bool) {
        self.json = json
        self.quiet = quiet
        live = terminal.isInteractive && !quiet && !json && !inCI
        self.color = color == "always" || (color != "never" && terminal.hasColors)
    }

    enum Style: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"
    }

    func styled(_ text: String, _ style: Style) -> String {
        color ? "\u{1b}[\(style.rawValue)m\(text)\u{1b}[0m" : text
    }

    /// A result, to standard output.
    func result(_ text: String) {
        clearLive()
        put(text + "\n", to: STDOUT_FILENO)
    }

    /// A result as it is, without a line end of its own.
    func raw(_ text: String) { put(text, to: STDOUT_FILENO) }

    /// How the work goes, to standard error; nothing if `--quiet`.
    func note(_ text: String) {
        guard !quiet else { return }
        clearLive()
        put(text + "\n", to: STDERR_FILENO)
    }

    func warning(_ text: String) {
        clearLive()
        put("\(styled("warning:", .yellow)) \(text)\n", to: STDERR_FILENO)
    }

    func error(_ error: ForgeError) {
        clearLive()
        put("\(styled("error:", .red)) \(error)\n", to: STDERR_FILENO)
    }

    // MARK: The live view

    /// Draws lines below everything else, over those drawn before.
    func drawLive(_ lines: [String]) {
        guard live else { return }
        var text = eraseSequence()
        for line in lines { text += line + "\n" }
        drawn = lines.count
        put(text, to: STDERR_FILENO)
    }

    func clearLive() {
        guard drawn > 0 else { return }
        put(eraseSequence(), to: STDERR_FILENO)
        drawn = 0
    }

    private func eraseSequence() -> String { drawn > 0 ? "\u{1b}[\(drawn)A\u{1b}[J" : "" }

    private func put(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let done = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            // Nobody reads any more (`forge plan | head`): not a failure of the build.
            if done < 0 {
                guard errno == EINTR else { return }
                continue
            }
            bytes = bytes.dropFirst(done)
        }
    }
}
