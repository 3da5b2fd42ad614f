resource "aws_route53_zone" "this" {
  name    = "${var.name}.internal"
  comment = "Members and crossbars of ${var.name}, for the VPCs of its three regions"

  dynamic "vpc" {
    for_each = aws_vpc.this

    content {
      vpc_id     = vpc.value.id
      vpc_region = vpc.key
    }
  }

  tags = var.tags
}
