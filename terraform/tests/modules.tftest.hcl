# What every host and its state look like: encryption, metadata service, addresses, rights.

mock_provider "aws" {
  override_during = plan
  source          = "./tests/aws"
}

variables {
  cluster       = "test"
  region        = "us-east-1"
  vpc_id        = "vpc-0123456789abcdef0"
  image_id      = "ami-0123456789abcdef0"
  instance_type = "m7g.large"
  kms_key_arn   = "arn:aws:kms:us-east-1:123456789012:key/mrk-mock"
  artifact = {
    url    = "s3://releases/meridian-1.0.0.tar.gz"
    sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
  }
  log_retention_days = 30
}

run "host" {
  command = plan

  module {
    source = "./modules/host"
  }

  variables {
    name              = "test-orders"
    unit              = "meridian-journal@orders.service"
    subnet_ids        = ["subnet-0123456789abcdef0"]
    security_group_id = "sg-0123456789abcdef0"
    size              = { min = 1, max = 1 }
    rolling_update    = false
    reported_metrics  = {}
  }

  assert {
    condition = (
      aws_launch_template.this.metadata_options[0].http_tokens == "required" &&
      aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 1
    )
    error_message = "The metadata service is version 2 only, and not for containers behind a hop."
  }

  assert {
    condition = alltrue([
      for device in aws_launch_template.this.block_device_mappings : device.ebs[0].encrypted == "true" && device.ebs[0].kms_key_id == var.kms_key_arn
    ])
    error_message = "The root volume is encrypted with the cluster's key."
  }

  assert {
    condition     = alltrue([for interface in aws_launch_template.this.network_interfaces : interface.associate_public_ip_address == "false"])
    error_message = "A host has no public address."
  }

  assert {
    condition     = aws_launch_template.this.key_name == null
    error_message = "There is no SSH."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn
    error_message = "Logs are encrypted with the cluster's key."
  }

  assert {
    condition     = length(aws_autoscaling_group.this.instance_refresh) == 0
    error_message = "An apply replaces no host that has state elsewhere."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.host.policy).Statement : statement.Resource != "*" || contains(["WriteMetrics", "ReadOwnTags"], statement.Sid)
    ])
    error_message = "Rights are for named resources, except where AWS knows none."
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_iam_role_policy.host.policy).Statement : statement.Resource == "arn:aws:s3:::releases/meridian-1.0.0.tar.gz"
    ])
    error_message = "The host may fetch the one release."
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_iam_role_policy.host.policy).Statement :
      endswith(statement.Resource, ":secret:meridian/test/${var.name}/tls-??????") && statement.Action == "secretsmanager:GetSecretValue"
    ])
    error_message = "The host may fetch its own certificate."
  }
}

run "host_with_archive_keys" {
  command = plan

  module {
    source = "./modules/host"
  }

  variables {
    name              = "test-orders"
    unit              = "meridian-journal@orders.service"
    subnet_ids        = ["subnet-0123456789abcdef0"]
    security_group_id = "sg-0123456789abcdef0"
    size              = { min = 1, max = 1 }
    rolling_update    = false
    reported_metrics  = {}
    archive_keys      = true
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.host.policy).Statement : statement.Condition if statement.Sid == "UnwrapKeys"
    ] == [{ StringEquals = { "kms:EncryptionContext:meridian:archive" = "test" } }]
    error_message = "The host unwraps the keys of this cluster's archives, and nothing else that the key has wrapped."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.host.policy).Statement :
      statement.Resource == var.kms_key_arn && can(statement.Condition.StringEquals) if statement.Action == "kms:Decrypt"
    ])
    error_message = "The host decrypts with the cluster's key alone, and not just anything."
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_iam_role_policy.host.policy).Statement :
      endswith(statement.Resource, ":secret:meridian/test/archive-keys-??????") && statement.Action == "secretsmanager:GetSecretValue"
    ])
    error_message = "The host may fetch the wrapped keys."
  }

  assert {
    condition     = strcontains(local.files["/etc/systemd/system/${var.unit}.d/aws.conf"].content, "ExecStartPre=/usr/local/lib/meridian/archive-keys")
    error_message = "The keys are there before the service starts."
  }
}

run "member" {
  command = plan

  module {
    source = "./modules/member"
  }

  variables {
    journal = "orders"
    replica = 0
    address = "10.64.3.10"
    peers = [
      { replica = 1, region = "us-east-2", address = "10.65.3.10", cidr_block = "10.65.0.0/24" },
      { replica = 2, region = "us-west-2", address = "10.66.3.10", cidr_block = "10.66.0.0/24" },
    ]
    client_cidr_blocks = ["10.64.1.0/24"]
    grants             = [{ principal = "client/web", operations = ["append"], streams = ["web.*"] }]
    subnets            = { host_id = "subnet-0123456789abcdef0", fixed_id = "subnet-0123456789abcdef1", availability_zone = "us-east-1a" }
    volume             = { type = "gp3", size_gib = 200, iops = 6000, throughput_mib = 250 }
  }

  assert {
    condition     = aws_ebs_volume.this.encrypted && aws_ebs_volume.this.kms_key_id == var.kms_key_arn && aws_ebs_volume.this.final_snapshot
    error_message = "The log's volume is encrypted, and leaves a snapshot."
  }

  assert {
    condition = (
      aws_ebs_volume.this.tags["meridian:member"] == "test-orders-0" &&
      aws_network_interface.this.tags["meridian:member"] == "test-orders-0"
    )
    error_message = "Volume and address are found again by the member's tag."
  }

  assert {
    condition     = aws_network_interface.this.private_ips == toset(["10.64.3.10"])
    error_message = "The address is fixed."
  }

  assert {
    condition = alltrue([
      for rule in merge(aws_vpc_security_group_ingress_rule.peer, aws_vpc_security_group_ingress_rule.client) : startswith(rule.cidr_ipv4, "10.")
    ])
    error_message = "Nothing public comes in."
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.peer : rule.cidr_ipv4]) == toset(["10.65.0.0/24", "10.66.0.0/24"])
    error_message = "The peers' port is for the other two members' hosts alone."
  }

  assert {
    condition     = aws_network_interface.this.subnet_id != var.subnets.host_id
    error_message = "Host and fixed address are in different subnets."
  }

  assert {
    condition     = local.configuration.tls.key == "/etc/meridian/tls/key.pem" && local.configuration.access.grants[0].principal == "client/web"
    error_message = "It is served with certificates, to those with a grant."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(local.attach_policy).Statement :
      statement.Condition.StringEquals["aws:ResourceTag/meridian:member"] == "test-orders-0" if !startswith(statement.Sid, "Find")
    ])
    error_message = "A host may attach its own volume and address, and no other."
  }
}

run "witness" {
  command = plan

  module {
    source = "./modules/member"
  }

  variables {
    journal = "orders"
    replica = 2
    address = "10.66.3.10"
    peers = [
      { replica = 0, region = "us-east-1", address = "10.64.3.10", cidr_block = "10.64.0.0/24" },
      { replica = 1, region = "us-east-2", address = "10.65.3.10", cidr_block = "10.65.0.0/24" },
    ]
    witness            = true
    client_cidr_blocks = []
    grants             = []
    subnets            = { host_id = "subnet-0123456789abcdef0", fixed_id = "subnet-0123456789abcdef1", availability_zone = "us-west-2a" }
    volume             = { type = "io2", size_gib = 200, iops = 6000 }
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.client) == 0 && length(aws_vpc_security_group_ingress_rule.peer) == 2
    error_message = "Only the peers reach a witness."
  }

  assert {
    condition     = local.configuration.witness && !can(local.configuration.archive)
    error_message = "It says itself that it only votes."
  }
}

run "bucket" {
  command = plan

  module {
    source = "./modules/bucket"
  }

  variables {
    name                 = "mock"
    create_only_prefixes = ["releases/"]
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls, aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls, aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "The bucket is not public in any way."
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement :
      statement.Effect == "Deny" && statement.Condition.Null["s3:if-none-match"] == "true" && statement.Resource[0] == "arn:aws:s3:::mock/releases/*" if statement.Sid == "CreateOnly"
    ])
    error_message = "A put that might overwrite is denied."
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Sid == "TlsOnly" && statement.Effect == "Deny"
    ])
    error_message = "Without TLS there is no access."
  }
}

run "archive" {
  command = plan

  module {
    source = "./modules/archive"
  }

  variables {
    name         = "mock"
    journals     = ["orders", "payments"]
    janitor_arns = ["arn:aws:iam::123456789012:role/test-janitor"]
  }

  assert {
    condition = alltrue([
      for policy in values(output.writer_policies) : alltrue([
        for statement in jsondecode(policy).Statement :
        length(setsubtract(flatten([statement.Action]), ["s3:GetObject", "s3:PutObject", "s3:ListBucket"])) == 0
      ])
    ])
    error_message = "A replica reads and creates, and has no right to delete."
  }

  assert {
    condition     = jsondecode(output.writer_policies["orders"]).Statement[0].Resource == "arn:aws:s3:::mock/orders/*"
    error_message = "A replica reaches the archive of its own journal, and no other."
  }

  assert {
    condition = alltrue([
      for statement in output.janitor_statements : alltrue([
        for resource in flatten([statement.Resource]) : can(regex("/(segments|pages|states)/\\*$", resource))
      ]) if contains(flatten([statement.Action]), "s3:DeleteObject")
    ])
    error_message = "The janitor deletes no manifest, and no root."
  }

  assert {
    condition     = length([for statement in output.janitor_statements : statement if contains(flatten([statement.Action]), "s3:DeleteObject")]) == 1
    error_message = "The janitor may delete."
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(output.bucket_policy).Statement :
      statement.Effect == "Deny" && statement.Condition.ArnNotEquals["aws:PrincipalArn"] == ["arn:aws:iam::123456789012:role/test-janitor"] && contains(statement.Resource, "arn:aws:s3:::mock/orders/segments/*")
      if statement.Sid == "DeletedByJanitorOnly"
    ])
    error_message = "Segments are deleted by the janitor alone, whoever else is given rights."
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(output.bucket_policy).Statement :
      contains(statement.Resource, "arn:aws:s3:::mock/orders/manifests/*") && contains(statement.Resource, "arn:aws:s3:::mock/payments/journal.json") && !contains(statement.Resource, "arn:aws:s3:::mock/orders/segments/*")
      if statement.Sid == "NeverDeleted"
    ])
    error_message = "Manifests and roots are never deleted, not even by the janitor."
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(output.bucket_policy).Statement :
      length([for kind in ["segments/*", "pages/*", "states/*", "manifests/*", "journal.json"] : kind if contains(statement.Resource, "arn:aws:s3:::mock/orders/${kind}")]) == 5 && !contains(statement.Resource, "arn:aws:s3:::mock/orders/latest.json")
      if statement.Sid == "CreateOnly"
    ])
    error_message = "Everything is created once, but the hint."
  }
}

run "archive_without_janitor" {
  command = plan

  module {
    source = "./modules/archive"
  }

  variables {
    name     = "mock"
    journals = ["orders"]
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(output.bucket_policy).Statement : contains(statement.Resource, "arn:aws:s3:::mock/orders/segments/*") if statement.Sid == "NeverDeleted"
    ])
    error_message = "Without a janitor nobody deletes."
  }
}

run "network" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    name       = "test"
    regions    = ["us-east-1", "us-east-2", "us-west-2"]
    cidr_block = "10.64.0.0/14"
  }

  assert {
    condition     = toset(keys(aws_vpc_peering_connection.this)) == toset(["us-east-1/us-east-2", "us-east-1/us-west-2", "us-east-2/us-west-2"])
    error_message = "Three regions are a full mesh of three peerings."
  }

  assert {
    condition     = length(aws_route.peer) == 6 && alltrue([for key, route in aws_route.peer : route.region == split("->", key)[0]])
    error_message = "Every region has a route to each of the others."
  }

  assert {
    condition     = alltrue([for region, vpc in aws_vpc.this : vpc.region == region]) && length(distinct([for vpc in aws_vpc.this : vpc.cidr_block])) == 3
    error_message = "Each VPC is in its region and has a range of its own."
  }

  assert {
    condition     = alltrue([for subnet in concat(values(aws_subnet.member), values(aws_subnet.fixed), values(aws_subnet.service), values(aws_subnet.public)) : !subnet.map_public_ip_on_launch])
    error_message = "No subnet hands out public addresses."
  }
}

run "encryption" {
  command = plan

  module {
    source = "./modules/encryption"
  }

  variables {
    name    = "test"
    regions = ["us-east-1", "us-east-2", "us-west-2"]
  }

  assert {
    condition     = aws_kms_key.this.multi_region && aws_kms_key.this.enable_key_rotation && aws_kms_key.this.region == "us-east-1"
    error_message = "One multi-region key, rotated."
  }

  assert {
    condition     = toset(keys(aws_kms_replica_key.this)) == toset(["us-east-2", "us-west-2"])
    error_message = "A replica of the key in both other regions."
  }
}

run "janitor" {
  command = plan

  module {
    source = "./modules/janitor"
  }

  variables {
    cluster       = "test"
    region        = "us-east-1"
    archives      = [{ url = "s3://mock/orders", region = "us-east-1" }]
    statements    = [{ Effect = "Allow", Action = "s3:DeleteObject", Resource = ["arn:aws:s3:::mock/orders/segments/*"] }]
    rules         = { max_age_days = 90 }
    subnet_ids    = ["subnet-0123456789abcdef0"]
    instance_type = "t4g.small"
  }

  assert {
    condition     = local.configuration.retentionMs == 7776000000 && local.configuration.unnamedMs == 604800000 && !can(local.configuration.retentionBytes)
    error_message = "The rules reach the configuration, in its units."
  }

  assert {
    condition     = !can(local.configuration.archives[0].keysFile)
    error_message = "An archive that is not sealed needs no keys."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.https.from_port == 443
    error_message = "It goes out by HTTPS alone, and nobody comes in: there is no rule for it."
  }
}
