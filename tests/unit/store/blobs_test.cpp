#include "server/store/blobs.h"

#include <gtest/gtest.h>

#include "tests/support/expect.h"
#include "tests/support/temp_folder.h"

namespace drover::store {
namespace {

constexpr std::string_view kText = "the bytes of a model";

class BlobFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = open_blob_folder(folder_.path());
    ASSERT_OK(opened);
    blobs_ = std::move(*opened);
  }
  test::TempFolder folder_;
  std::unique_ptr<Blobs> blobs_;
  const crypto::Digest digest_ = crypto::sha256(kText);
};

TEST_F(BlobFolder, AnUploadInPiecesBecomesTheBlob) {
  EXPECT_FALSE(blobs_->size(digest_));
  ASSERT_OK(blobs_->append("up-1", 0, kText.substr(0, 5)));
  ASSERT_OK(blobs_->append("up-1", 5, kText.substr(5)));
  ASSERT_OK(blobs_->sync("up-1"));
  ASSERT_OK(blobs_->finish("up-1", digest_, kText.size()));
  EXPECT_EQ(blobs_->size(digest_), kText.size());
  EXPECT_EQ(as_text(*blobs_->read(digest_, 100)), kText);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "uploads" / "up-1"));
}

TEST_F(BlobFolder, BytesBehindTheAcknowledgedEndAreDropped) {
  ASSERT_OK(blobs_->append("up-1", 0, "the bytes that a power cut made of it"));
  ASSERT_OK(blobs_->append("up-1", 5, kText.substr(5)));
  ASSERT_OK(blobs_->finish("up-1", digest_, kText.size()));
}

TEST_F(BlobFolder, WrongBytesNeverBecomeABlobAndAreDropped) {
  ASSERT_OK(blobs_->append("up-1", 0, "other bytes"));
  EXPECT_CODE(blobs_->finish("up-1", digest_, 11), Code::digest_mismatch);
  ASSERT_OK(blobs_->append("up-2", 0, kText));
  EXPECT_CODE(blobs_->finish("up-2", digest_, 3), Code::size_mismatch);
  EXPECT_FALSE(blobs_->size(digest_));
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "uploads"));
}

TEST_F(BlobFolder, ABlobThatIsThereStaysAsItIs) {
  for (const char* upload : {"up-1", "up-2"}) {
    ASSERT_OK(blobs_->append(upload, 0, kText));
    ASSERT_OK(blobs_->finish(upload, digest_, kText.size()));
  }
  EXPECT_EQ(as_text(*blobs_->read(digest_, 100)), kText);
}

TEST_F(BlobFolder, AnEmptyBlobIsABlob) {
  const crypto::Digest empty = crypto::sha256(std::string_view());
  ASSERT_OK(blobs_->finish("up-1", empty, 0));
  EXPECT_EQ(blobs_->size(empty), 0U);
}

TEST_F(BlobFolder, ReadingIsBounded) {
  ASSERT_OK(blobs_->append("up-1", 0, kText));
  ASSERT_OK(blobs_->finish("up-1", digest_, kText.size()));
  EXPECT_CODE(blobs_->read(digest_, 3), Code::too_large);
  EXPECT_CODE(blobs_->read(crypto::sha256("else"), 3), Code::not_found);
}

}  // namespace
}  // namespace drover::store
