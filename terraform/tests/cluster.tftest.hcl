# What the root module refuses, and what a witness region changes.

mock_provider "aws" {
  override_during = plan
  source          = "./tests/aws"
}

variables {
  name     = "test"
  regions  = ["us-east-1", "us-east-2", "us-west-2"]
  journals = { orders = { number = 1 } }
  artifact = {
    url    = "https://releases.example.com/meridian-1.0.0.tar.gz"
    sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
  }
}

run "refuses_two_regions" {
  command = plan

  variables {
    regions = ["us-east-1", "us-east-2"]
  }

  expect_failures = [var.regions]
}

run "refuses_the_same_region_twice" {
  command = plan

  variables {
    regions = ["us-east-1", "us-east-2", "us-east-1"]
  }

  expect_failures = [var.regions]
}

run "refuses_four_regions" {
  command = plan

  variables {
    regions = ["us-east-1", "us-east-2", "us-west-2", "eu-west-1"]
  }

  expect_failures = [var.regions]
}

run "refuses_a_zone_as_region" {
  command = plan

  variables {
    regions = ["us-east-1a", "us-east-2", "us-west-2"]
  }

  expect_failures = [var.regions]
}

run "refuses_a_witness_elsewhere" {
  command = plan

  variables {
    witness_region = "eu-west-1"
  }

  expect_failures = [var.witness_region]
}

run "refuses_public_addresses" {
  command = plan

  variables {
    cidr_block = "52.0.0.0/14"
  }

  expect_failures = [var.cidr_block]
}

run "refuses_public_clients" {
  command = plan

  variables {
    client_cidr_blocks = ["0.0.0.0/0"]
  }

  expect_failures = [var.client_cidr_blocks]
}

run "refuses_a_grant_to_replicas" {
  command = plan

  variables {
    grants = [{ principal = "replica", operations = ["read"], streams = ["*"] }]
  }

  expect_failures = [var.grants]
}

run "refuses_a_client_range_that_is_partly_public" {
  command = plan

  variables {
    client_cidr_blocks = ["172.16.0.0/8"]
  }

  expect_failures = [var.client_cidr_blocks]
}

run "refuses_an_unchecked_release" {
  command = plan

  variables {
    artifact = { url = "https://releases.example.com/meridian-1.0.0.tar.gz", sha256 = "latest" }
  }

  expect_failures = [var.artifact]
}

run "refuses_a_release_over_plain_http" {
  command = plan

  variables {
    artifact = { url = "http://releases.example.com/meridian-1.0.0.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
  }

  expect_failures = [var.artifact]
}

run "refuses_no_journal" {
  command = plan

  variables {
    journals = {}
  }

  expect_failures = [var.journals]
}

run "refuses_two_journals_with_one_number" {
  command = plan

  variables {
    journals = { a = { number = 1 }, b = { number = 1 } }
  }

  expect_failures = [var.journals]
}

run "refuses_a_volume_that_is_lost_with_its_host" {
  command = plan

  variables {
    journals = { a = { number = 1, volume = { type = "instance-store" } } }
  }

  expect_failures = [var.journals]
}

run "refuses_a_clock_without_error" {
  command = plan

  variables {
    max_clock_error_ms = 0
  }

  expect_failures = [var.max_clock_error_ms]
}

run "refuses_topics_of_another_region" {
  command = plan

  variables {
    alarm_topic_arns = { eu-west-1 = ["arn:aws:sns:eu-west-1:123456789012:ops"] }
  }

  expect_failures = [var.alarm_topic_arns]
}

run "refuses_a_sidecar_in_the_witness_region" {
  command = plan

  variables {
    witness_region = "us-west-2"
    sidecars = {
      shop = {
        region   = "us-west-2"
        roles    = ["ship"]
        journal  = "orders"
        stream   = "pg.shop"
        postgres = { host = "db.example.com", database = "shop", secret_arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:shop", cidr_blocks = ["10.64.1.0/24"] }
      }
    }
  }

  expect_failures = [var.sidecars]
}

run "serves_in_three_regions" {
  command = plan

  assert {
    condition     = toset(keys(output.archive_buckets)) == toset(var.regions) && length(distinct(values(output.archive_buckets))) == 3
    error_message = "Every region has a bucket of its own."
  }

  assert {
    condition     = length(aws_iam_role.janitor) == 0 && output.janitor_role_arn == null && length(module.janitor) == 0
    error_message = "Nobody may delete unless somebody is named who may."
  }

  assert {
    condition     = toset(keys(output.crossbar_addresses)) == toset(["us-east-1", "us-east-2", "us-west-2"])
    error_message = "Every region has crossbars."
  }

  assert {
    condition = output.journals["orders"] == [
      { region = "us-east-1", address = "10.64.3.10:7401" },
      { region = "us-east-2", address = "10.65.3.10:7401" },
      { region = "us-west-2", address = "10.66.3.10:7401" },
    ]
    error_message = "Members have fixed addresses, one in each region's own range."
  }
}

run "lets_a_witness_only_vote" {
  command = plan

  variables {
    witness_region = "us-west-2"
  }

  assert {
    condition     = toset(keys(output.crossbar_addresses)) == toset(["us-east-1", "us-east-2"])
    error_message = "The witness region has no crossbars."
  }

  assert {
    condition     = [for replica in output.journals["orders"] : replica.region] == ["us-east-1", "us-east-2"]
    error_message = "Nobody is told of the witness."
  }

  assert {
    condition     = contains(keys(output.autoscaling_group_names), "orders/us-west-2")
    error_message = "The witness is a member all the same."
  }
}

run "has_no_crossbars_when_told_so" {
  command = plan

  variables {
    crossbar = null
  }

  assert {
    condition     = length(output.crossbar_addresses) == 0
    error_message = "No crossbars were wanted."
  }
}

run "a_janitor_that_is_named" {
  command = plan

  variables {
    archive = { janitor_trusted_arns = ["arn:aws:iam::123456789012:role/operations"] }
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role.janitor[0].assume_role_policy).Statement : statement.Principal.AWS == ["arn:aws:iam::123456789012:role/operations"]
    ])
    error_message = "Only who is named takes the janitor's role, and no host."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.janitor[0].policy).Statement :
      length(setsubtract(flatten([statement.Action]), ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject"])) == 0
    ])
    error_message = "The janitor may do nothing else."
  }
}

run "a_janitor_with_a_host" {
  command = plan

  variables {
    archive = { janitor = { max_age_days = 90 } }
  }

  assert {
    condition     = keys(module.janitor) == ["us-east-1"]
    error_message = "One host cleans the archives of all regions."
  }

  assert {
    condition     = length(aws_iam_role.janitor) == 0
    error_message = "A host of its own gives no person the right to delete."
  }

  assert {
    condition     = local.janitor_arns == ["arn:aws:iam::123456789012:role/test-janitor-us-east-1"]
    error_message = "The buckets name the host's role, and no other."
  }

  assert {
    condition = alltrue([
      for statement in local.janitor_statements :
      length(setsubtract(flatten([statement.Action]), ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject"])) == 0
    ])
    error_message = "The janitor may do nothing else."
  }
}

run "refuses_to_keep_nothing" {
  command = plan

  variables {
    archive = { janitor = { max_age_days = 0 } }
  }

  expect_failures = [var.archive]
}

run "refuses_a_journal_named_like_the_janitor" {
  command = plan

  variables {
    journals = { janitor = { number = 1 } }
  }

  expect_failures = [var.journals]
}
