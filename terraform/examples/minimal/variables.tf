variable "artifact" {
  description = "Release to install: URL of the tarball and its SHA-256"
  type = object({
    url    = string
    sha256 = string
  })
}
