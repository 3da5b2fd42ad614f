provider "aws" {
  region = "us-east-1"
}

module "meridian" {
  source = "../.."

  name     = "demo"
  regions  = ["us-east-1", "us-east-2", "us-west-2"]
  artifact = var.artifact

  journals = {
    main = { number = 1 }
  }
}
