import CLinux
import Glibc

/// A terminal, or what stands in its place.
package struct Terminal: Sendable {
    /// Where progress can be redrawn in place.
    package var isInteractive: Bool
    /// Whether colours are wanted: <https://no-color.org>.
    package var hasColors: Bool
    private let fd: Int32

    /// Looks at a descriptor.
    /// - Parameter environment: gives `NO_COLOR`, `TERM` and `COLUMNS`.
    package init(fd: Int32, environment: (String) -> String? = Host.environment) {
        self.fd = fd
        let dumb = environment("TERM") == "dumb"
        isInteractive = isatty(fd) == 1 && !dumb
        hasColors = isInteractive && environment("NO_COLOR") == nil
    }

    /// Columns now; 80 where nobody knows.
    package var columns: Int {
        let columns = Int(forge_terminal_columns(fd))
        return columns > 0 ? columns : 80
    }

    /// Back to the first column, and the line empty.
    package static let clearLine = "\r\u{1b}[2K"
    /// From here to the end of the screen, empty.
    package static let clearBelow = "\u{1b}[J"
    package static let hideCursor = "\u{1b}[?25l"
    package static let showCursor = "\u{1b}[?25h"

    /// Up by some lines, to the first column.
    package static func up(_ lines: Int) -> String { lines > 0 ? "\u{1b}[\(lines)F" : "" }

    package enum Style: String, Sendable {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case blue = "34"
        case cyan = "36"
    }

    /// The text in a style, if colours are wanted.
    package func styled(_ text: String, _ style: Style) -> String {
        hasColors ? "\u{1b}[\(style.rawValue)m\(text)\u{1b}[0m" : text
    }
}
